-- ARGV: '', now, node, number of the beat, whether the node may know when Redis
-- was started, milliseconds for which it knows of an evicted canary
-- Each node stores the number of its last heartbeat in every bucket, and gets the
-- previous one: if that is missing, Redis has lost what was written since.
-- The canary is never read or written, so a Redis that evicts keys evicts it
-- first. All nodes know of an eviction for a day, and record it again if Redis
-- evicted the record, too.
allow_when_full()
local beat = root .. 'beat:' .. ARGV[3]
local before = redis.call('GET', beat)
-- One that arrives late, over an earlier connection, is not the last.
redis.call('SET', beat, math.max(tonumber(before or 0), tonumber(ARGV[4])), 'EX', 3600)
if ARGV[5] == '1' then
	restarted()
end
local left = tonumber(ARGV[6])
if redis.call('EXISTS', root .. 'canary') == 0 then
	redis.call('SET', root .. 'canary', '')
	if before then
		left = 86400000
	end
end
redis.call('GET', root .. 'evicts') -- it is in use
local known = redis.call('PTTL', root .. 'evicts')
if left > 0 and left > known + 60000 then -- clocks and answers are not exact
	redis.call('SET', root .. 'evicts', '', 'PX', left)
	known = left
end
return {before or '0', known}
