-- ARGV: name, now, generation and first sequence of an entry that is known, or
-- '', whether the node may know when Redis was started
-- Returns the tail of an open stream: its newest entries, without their lines,
-- back to the one that is known.
local m = redis.call('HMGET', meta, 'g', 'c', 'v', 'w', 't')
if not m[1] or m[2] then
	return {0}
end
allow_when_full() -- a retry is known, whether or not Redis is full
redis.call('HSET', meta, 'a', now)
-- Where another program has removed an index, the stream returns to it.
redis.call('ZADD', root .. 'names', 0, name)
redis.call('ZADD', root .. 'due', 'NX', now + tonumber(m[5]), name)
local from = '-'
if ARGV[4] ~= '' and m[1] == ARGV[3] then
	from = ARGV[4] .. '-0'
else
	tail(m[1]) -- there is one
end
local found = {}
for _, e in ipairs(redis.call('XREVRANGE', key('d', m[1]), '+', from, 'COUNT', 16)) do
	describe(found, e)
end
return {1, m[1], tonumber(m[3]), found, tonumber(m[4] or 0), ARGV[5] == '1' and restarted() or 0}
