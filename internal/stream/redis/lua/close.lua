-- ARGV: name, now, node, how, generation or '', next sequence as the node saw it
local m = redis.call('HMGET', meta, 'g', 'c')
if not m[1] then
	return {0}
end
if m[2] then
	return {1, m[1], (tail(m[1])), m[2]}
end
local n = finish(m[1], ARGV[5] == m[1] and ARGV[6] or 0)
redis.call('HSET', meta, 'c', ARGV[4], 'k', ARGV[3], 'a', now)
redis.call('ZADD', root .. 'due', now, name)
return {1, m[1], n, ARGV[4]}
