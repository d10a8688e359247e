-- ARGV: name, now, node, offset, known generation, known next, most bytes
-- held, checksum or '', lines, whether a batch that is known may be a retry
-- ('' not yet looked at), then lines and bytes of each piece
local m = redis.call('HMGET', meta, 'g', 'n', 'c', 'h', 'b', 'r', 'w', 'p')
local gen = m[1]
if not gen or m[3] then
	return {0}
end
local n, held, offset, lines = tonumber(m[2]), tonumber(m[4]), tonumber(ARGV[4]), tonumber(ARGV[9])
if ARGV[5] == gen and tonumber(ARGV[6]) > n then
	local known = tonumber(ARGV[6])
	lost(gen, n, known)
	n = known
end
if offset > n then
	redis.call('HSET', meta, 'a', now)
	return {2, gen, n, held}
end
if lines == 0 or (offset > 0 and offset + lines <= n) then
	redis.call('HSET', meta, 'a', now)
	return {1, gen, n, held}
end
if offset > 0 and offset < n then
	return {3, gen, n, held}
end

-- recalls reports whether the pieces are the lines from first on. Those of
-- which some are in the blob store by now are known by their checksum alone.
local function recalls(first)
	if first < tonumber(m[8]) then
		return true
	end
	local entries = redis.call('XRANGE', key('d', gen), first, first + lines - 1)
	local have, want = {}, {}
	for i, e in ipairs(entries) do have[i] = e[2][2] end
	for i = 12, #ARGV, 2 do want[#want + 1] = ARGV[i] end
	return table.concat(have) == table.concat(want)
end

local recent, sum = m[6] or '', ARGV[8]
if sum ~= '' and string.find(recent, sum, 1, true) then
	for i = 1, #recent, 18 do
		if string.sub(recent, i, i + 7) == sum then
			local first, count = struct.unpack('>I6I4', string.sub(recent, i + 8, i + 17))
			if count == lines and recalls(first) then
				if ARGV[10] == '' then
					return {5}
				end
				redis.call('HSET', meta, 'a', now)
				return {1, gen, n, held}
			end
		end
	end
end
if held > tonumber(ARGV[7]) then
	return {4, gen, n, held}
end

local first, size, pieces = n, 0, 0
for i = 11, #ARGV, 2 do
	n = n + tonumber(ARGV[i])
	redis.call('XADD', key('d', gen), (n - 1) .. '-' .. ARGV[i], 'd', ARGV[i + 1])
	size, pieces = size + #ARGV[i + 1], pieces + 1
end
held = held + size + 64 * pieces -- an entry costs that beside its bytes, about
local set = {'n', n, 'h', held, 'b', tonumber(m[5]) + size, 'a', now}
if sum ~= '' then
	if #recent >= 18 * 16 then
		recent = string.sub(recent, 19)
	end
	set[9], set[10] = 'r', recent .. sum .. struct.pack('>I6I4', first, lines)
end
if m[7] ~= ARGV[3] then
	set[#set + 1], set[#set + 2] = 'w', ARGV[3]
end
redis.call('HSET', meta, unpack(set))
return {1, gen, n, held, 1}
