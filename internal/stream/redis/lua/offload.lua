-- ARGV: name, now, node, generation, holder that is dead or '', segment or ''
-- Claims the offloading of a stream's oldest lines. A segment is named before it
-- is stored: so it is found, and removed, if its offloader dies.
local m = redis.call('HMGET', meta, 'g', 'p', 'v', 'm')
local known = redis.call('HGETALL', key('q', ARGV[4]))
if m[1] ~= ARGV[4] then
	return {0, known}
end
if m[4] and m[4] ~= '' and m[4] ~= ARGV[3] and m[4] ~= ARGV[5] then
	return {2, known, tonumber(m[2]), tonumber(m[3]), m[4]}
end
allow_when_full()
redis.call('HSET', meta, 'm', ARGV[3])
if ARGV[6] ~= '' then
	redis.call('HSET', key('q', ARGV[4]), ARGV[6], ARGV[3])
end
local _, h = tail(m[1])
return {1, known, tonumber(m[2]), tonumber(m[3]), (struct.unpack('>I8', h, 14))}
