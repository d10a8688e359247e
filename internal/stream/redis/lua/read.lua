-- ARGV: name, now, generation, after, most bytes
local entries, size, from = {}, 0, '(' .. ARGV[4] .. '-' .. last
repeat
	local page = redis.call('XRANGE', key('d', ARGV[3]), from, '+', 'COUNT', 16)
	for _, e in ipairs(page) do
		entries[#entries + 1] = e
		size = size + #e[2][2]
		from = '(' .. e[1]
		if size >= tonumber(ARGV[5]) then break end
	end
until #page < 16 or size >= tonumber(ARGV[5])
local part = redis.call('ZREVRANGEBYSCORE', key('p', ARGV[3]), ARGV[4] + 1, '-inf', 'LIMIT', 0, 1)
return {part[1] or '', entries}
