-- ARGV: name, now, generation, lowest and highest ID, clock
-- Returns entries without their lines, the newest first, down to the first that
-- is older than the clock: as many as have some 256 KiB of lines, and the highest
-- ID of the rest.
local most, found, size, count, to = 262144, {}, 0, 1, ARGV[5]
repeat
	local page = redis.call('XREVRANGE', key('d', ARGV[3]), to, ARGV[4], 'COUNT', count)
	for _, e in ipairs(page) do
		describe(found, e)
		size = size + 128 + #e[2][2]
		if (struct.unpack('>I8', e[2][1], 22)) < tonumber(ARGV[6]) then
			return {found, ''}
		end
	end
	if #page < count then
		return {found, ''}
	end
	to = '(' .. page[count][1]
	count = math.max(1, math.min(64, math.floor((most - size) / (3 * size / #found)))) -- found has 3 for each
until size >= most
return {found, to}
