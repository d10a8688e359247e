-- ARGV: '', now, least and most name, limit
local names = redis.call('ZRANGEBYLEX', root .. 'names', ARGV[3], ARGV[4], 'LIMIT', 0, ARGV[5])
local found = {}
for _, n in ipairs(names) do
	name, meta = n, root .. 's:' .. n
	local m = redis.call('HMGET', meta, 'g', 'c', 't', 'a', 'k', 'n', 'b')
	if m[1] then
		local seq, h = tail(m[1])
		for _, x in ipairs({n, m, seq, h, redis.call('HGETALL', key('f', m[1]))}) do found[#found + 1] = x end
	end
end
return {found, names[#names] or ''}
