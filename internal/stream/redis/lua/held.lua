-- ARGV: name, now, node, generation, what becomes of the claim
local m = redis.call('HMGET', meta, 'g', 'k')
if m[1] ~= ARGV[4] or m[2] ~= ARGV[3] then
	return {0}
end
allow_when_full()
if ARGV[5] == 'commit' then
	redis.call('HSET', meta, 'x', 1)
	return {1}
end
redis.call('HDEL', meta, 'x')
if ARGV[5] == 'release' then
	redis.call('HSET', meta, 'k', '')
	redis.call('ZADD', root .. 'due', now, name)
end
return {1}
