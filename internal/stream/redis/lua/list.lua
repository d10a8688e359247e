-- ARGV: '', now, least and most name, limit
local names = redis.call('ZRANGEBYLEX', root .. 'names', ARGV[3], ARGV[4], 'LIMIT', 0, ARGV[5])
local found = {}
for _, n in ipairs(names) do
	local m = redis.call('HMGET', root .. 's:' .. n, 'g', 'n', 'c', 'b', 't', 'a', 'k', 'w')
	if m[1] then
		found[#found + 1] = n
		found[#found + 1] = m
		found[#found + 1] = redis.call('HGETALL', root .. 'f:' .. m[1] .. ':' .. n)
	end
end
return {found, names[#names] or ''}
