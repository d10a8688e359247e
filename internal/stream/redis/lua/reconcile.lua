-- ARGV: '', now, then of each stream: name, generation, state, how it was
-- closed, the next sequence that a node acknowledged or showed
-- Compares what a node knows with Redis, and restores what Redis has lost: that
-- a stream was deleted or closed, and that it was longer. The
-- missing lines become a gap with the next append or the end, as a writer may
-- still have some of them. A stream that Redis does not have is skipped: it
-- may have been deleted since. Returns for each: 0 unknown, 1 as it should be,
-- 2 was longer, 3 closed again, 4 deleted again, 5 the same and to be reaped.
allow_when_full()
local found = {}
for i = 3, #ARGV, 5 do
	name, meta = ARGV[i], root .. 's:' .. ARGV[i]
	local gen, state, seen = ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 4])
	local m = redis.pcall('HMGET', meta, 'g', 'c', 'w')
	local is = 0
	if m[1] == gen then
		is = 1
		if state == '2' then
			is = 4 + remove(gen, m[2])
		elseif not m[2] then
			if seen > tail(gen) and seen > tonumber(m[3] or 0) then
				redis.call('HSET', meta, 'w', ARGV[i + 4])
				is = 2
			end
			if state == '1' then
				finish(gen)
				redis.call('HSET', meta, 'c', ARGV[i + 3], 'k', '', 'a', now)
				redis.call('ZADD', root .. 'due', now, name)
				is = 3
			end
		end
	end
	found[#found + 1] = is
end
return found
