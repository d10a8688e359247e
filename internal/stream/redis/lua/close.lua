-- ARGV: name, now, node, how
local m = redis.call('HMGET', meta, 'g', 'n', 'c')
if not m[1] then
	return {0}
end
if not m[3] then
	redis.call('XADD', key('d', m[1]), m[2] .. '-0', 'c', '')
	redis.call('HSET', meta, 'c', ARGV[4], 'k', ARGV[3], 'a', now)
	redis.call('ZADD', root .. 'due', now, name)
end
return {1, m[1], m[2]}
