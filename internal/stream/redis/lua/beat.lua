-- ARGV: '', now, node, number of the beat, whether the node may know when Redis
-- was started
-- Each node leaves the number of its last heartbeat in every bucket, and gets the
-- one before: where that is missing, Redis has lost what was written since.
-- The canary is never read or written, so a Redis that evicts keys evicts it
-- first; that one did is known to all nodes for a day.
allow_when_full()
local beat = root .. 'beat:' .. ARGV[3]
local before = redis.call('GET', beat)
-- One that comes late, over a connection of before, is not the last.
redis.call('SET', beat, math.max(tonumber(before or 0), tonumber(ARGV[4])), 'EX', 3600)
if ARGV[5] == '1' then
	restarted()
end
local canary = redis.call('EXISTS', root .. 'canary')
if canary == 0 then
	redis.call('SET', root .. 'canary', '')
	if before then
		redis.call('SET', root .. 'evicts', '', 'EX', 86400)
	end
end
return {before or '0', redis.call('EXISTS', root .. 'evicts')}
