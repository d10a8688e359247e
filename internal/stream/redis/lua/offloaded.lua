-- ARGV: name, now, node, generation, first, next, segment, cost of the lines below
-- next, what is known of their appends
-- Records a segment that is durable in the blob store, and only then trims.
-- A segment of '' releases the claim.
local m = redis.call('HMGET', meta, 'g', 'p', 'm')
if m[1] ~= ARGV[4] or m[3] ~= ARGV[3] then
	return {0}
end
if ARGV[7] == '' then
	redis.call('HDEL', meta, 'm')
	return {1}
end
if m[2] ~= ARGV[5] then
	return {0}
end
allow_when_full()
redis.call('ZADD', key('p', m[1]), ARGV[5], ARGV[7])
redis.call('HDEL', key('q', m[1]), ARGV[7])
redis.call('HSET', meta, 'p', ARGV[6], 'v', ARGV[8], 'r', ARGV[9])
redis.call('XTRIM', key('d', m[1]), 'MINID', ARGV[6])
return {1}
