-- ARGV: '', now, most, lease, whether the node may know when Redis was started
-- Streams that need attention: closed ones, and those past their lifetime. They
-- are due again after the lease, whoever takes them now. None is due for a lease
-- after a start of Redis: it may have read an old snapshot, with logs that were
-- archived and deleted since, and each node must first report what it knows.
local since = ARGV[5] == '1' and restarted() or 0
if since > 0 and now < since + tonumber(ARGV[4]) then
	return {{}, {}}
end
allow_when_full()
local found = {}
for _, due in ipairs(redis.call('ZRANGEBYSCORE', root .. 'due', '-inf', now, 'LIMIT', 0, ARGV[3])) do
	name, meta = due, root .. 's:' .. due
	local m = redis.call('HMGET', meta, 'g', 'c', 't', 'a', 'k', 'n', 'b')
	if not m[1] then
		redis.call('ZREM', root .. 'due', due)
	else
		local n, h = tail(m[1])
		local over = math.max(tonumber(m[4]), (struct.unpack('>I8', h, 22))) + tonumber(m[3])
		if not m[2] and over > now then
			redis.call('ZADD', root .. 'due', over, due)
		else
			redis.call('ZADD', root .. 'due', now + tonumber(ARGV[4]), due)
			for _, x in ipairs({due, m, n, h}) do found[#found + 1] = x end
		end
	end
end
local dead = redis.call('ZRANGEBYSCORE', root .. 'dead', '-inf', now, 'LIMIT', 0, ARGV[3])
for _, d in ipairs(dead) do
	redis.call('ZADD', root .. 'dead', now + tonumber(ARGV[4]), d)
end
return {found, dead}
