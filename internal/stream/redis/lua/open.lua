-- ARGV: name, now, new generation, ttl, truncate, header of its first entry
local m = redis.call('HMGET', meta, 'g', 'c')
local ttl = tonumber(ARGV[4])
local dead, old, ended = '', '', 0
if m[1] then
	if m[2] then
		return {2}
	end
	if ARGV[5] == '0' then
		redis.call('HSET', meta, 'a', now, 't', ttl)
		redis.call('ZADD', root .. 'due', 'LT', now + ttl, name)
		return {1, ''}
	end
	local left
	old = m[1]
	left, ended = remove(old, false)
	if left == 1 then
		dead = old
	end
end
redis.call('XADD', key('d', ARGV[3]), '0-1', ARGV[6], '')
redis.call('HSET', meta, 'g', ARGV[3], 'p', 1, 'v', 0, 'a', now, 't', ttl)
redis.call('ZADD', root .. 'names', 0, name)
redis.call('ZADD', root .. 'due', now + ttl, name)
return {1, dead, old, ended}
