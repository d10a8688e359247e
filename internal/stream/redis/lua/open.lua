-- ARGV: name, now, new generation, ttl, truncate, node
local m = redis.call('HMGET', meta, 'g', 'n', 'c')
local ttl = tonumber(ARGV[4])
local dead, old, ended = '', '', 0
if m[1] then
	if m[3] then
		return {2}
	end
	if ARGV[5] == '0' then
		redis.call('HSET', meta, 'a', now, 't', ttl)
		redis.call('ZADD', root .. 'due', 'LT', now + ttl, name)
		return {1, ''}
	end
	old, ended = m[1], m[2]
	if let_go(old, tonumber(ended), false) == 1 then
		dead = old
	end
end
redis.call('HSET', meta, 'g', ARGV[3], 'n', 1, 'h', 0, 'b', 0, 'p', 1, 'a', now, 't', ttl, 'w', ARGV[6])
redis.call('ZADD', root .. 'names', 0, name)
redis.call('ZADD', root .. 'due', now + ttl, name)
return {1, dead, old, ended}
