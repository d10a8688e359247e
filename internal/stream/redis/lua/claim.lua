-- ARGV: name, now, node, holder that is dead or '', lease
local m = redis.call('HMGET', meta, 'g', 'c', 'k')
if not m[1] or not m[2] then
	return {0}
end
if m[3] and m[3] ~= '' and m[3] ~= ARGV[3] and m[3] ~= ARGV[4] then
	return {2, m[3]}
end
though_full()
redis.call('HSET', meta, 'k', ARGV[3])
redis.call('ZADD', root .. 'due', now + tonumber(ARGV[5]), name)
return {1, m[1], m[2]}
