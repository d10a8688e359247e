-- ARGV: '', '', node, longest step, leaving
-- The clock of the service, in milliseconds: it advances by Redis's time while a
-- node is alive. Longer steps count as the longest one, steps backwards not at
-- all. So it stops while no node runs, and jumps of a clock do not move it.
local t = redis.call('TIME')
local wall = t[1] * 1000 + math.floor(t[2] / 1000)
local c = redis.call('HMGET', root .. 'clock', 'now', 'wall')
local clock = tonumber(c[1] or 0)
if c[2] then
	clock = clock + math.max(0, math.min(wall - tonumber(c[2]), tonumber(ARGV[4])))
end
allow_when_full()
redis.call('HSET', root .. 'clock', 'now', clock, 'wall', wall)
if ARGV[5] == '1' then
	redis.call('ZREM', root .. 'nodes', ARGV[3])
else
	redis.call('ZADD', root .. 'nodes', clock, ARGV[3])
end
-- A node that has been silent for a day is forgotten.
redis.call('ZREMRANGEBYSCORE', root .. 'nodes', '-inf', clock - 86400000)
return {clock, redis.call('ZRANGE', root .. 'nodes', 0, -1, 'WITHSCORES')}
