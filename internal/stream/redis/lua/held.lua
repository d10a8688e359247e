-- ARGV: name, now, node, generation, release
local m = redis.call('HMGET', meta, 'g', 'k')
if m[1] ~= ARGV[4] or m[2] ~= ARGV[3] then
	return {0}
end
if ARGV[5] == '1' then
	though_full()
	redis.call('HSET', meta, 'k', '')
	redis.call('ZADD', root .. 'due', now, name)
end
return {1}
