-- ARGV: name, now, node, generation, first, next, segment, cost of the lines below
-- next, then of its appends: what identifies them, how many, clock of the youngest,
-- for how long and how many are kept
-- Records a segment that is durable in the blob store, and only then trims.
local m = redis.call('HMGET', meta, 'g', 'p', 'm', 'c')
if m[1] ~= ARGV[4] or m[2] ~= ARGV[5] or m[3] ~= ARGV[3] then
	return {0}
end
allow_when_full()
redis.call('ZADD', key('p', m[1]), ARGV[5], ARGV[7])
redis.call('HDEL', key('q', m[1]), ARGV[7])
redis.call('HSET', meta, 'p', ARGV[6], 'v', ARGV[8])
redis.call('XTRIM', key('d', m[1]), 'MINID', ARGV[6])
-- A retry is recognized by these. What is older than clients retry is dropped,
-- and what is more than are kept.
local r, total = key('r', m[1]), 0
local newest = redis.call('ZREVRANGE', r, 0, 0)[1]
if newest then
	total = struct.unpack('>I8', newest, 9)
end
if ARGV[10] ~= '0' and not m[4] then -- none comes after the end
	total = total + ARGV[10]
	redis.call('ZADD', r, ARGV[5], struct.pack('>I8I8', ARGV[11], total) .. ARGV[9])
end
for _ = 1, redis.call('ZCARD', r) do
	local clock, upto = struct.unpack('>I8I8', redis.call('ZRANGE', r, 0, 0)[1])
	if clock >= now - ARGV[12] and total - upto < tonumber(ARGV[13]) then
		break
	end
	redis.call('ZREMRANGEBYRANK', r, 0, 0)
end
return {1}
