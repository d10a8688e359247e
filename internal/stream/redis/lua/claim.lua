-- ARGV: name, now, node, holder that is dead or '', lease, take
local m = redis.call('HMGET', meta, 'g', 'c', 'k', 'x')
if not m[1] or not m[2] then
	return {0}
end
local holder, committed, take = m[3], m[4], ARGV[6] == '1'
if holder and holder ~= '' and holder ~= ARGV[3] and holder ~= ARGV[4] and (committed or not take) then
	return {2, holder}
end
allow_when_full()
redis.call('HSET', meta, 'k', ARGV[3])
redis.call('HDEL', meta, 'x')
redis.call('ZADD', root .. 'due', now + tonumber(ARGV[5]), name)
return {1, m[1], m[2]}
