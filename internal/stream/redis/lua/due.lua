-- ARGV: '', now, most, lease
-- Streams that somebody must see to: those closed and those past their time.
-- They are due again after the lease, whoever takes them now.
local found = {}
for _, due in ipairs(redis.call('ZRANGEBYSCORE', root .. 'due', '-inf', now, 'LIMIT', 0, ARGV[3])) do
	local m = redis.call('HMGET', root .. 's:' .. due, 'g', 'n', 'c', 'b', 't', 'a', 'k', 'w')
	local over = m[1] and tonumber(m[6]) + tonumber(m[5])
	if not m[1] then
		redis.call('ZREM', root .. 'due', due)
	elseif not m[3] and over > now then
		redis.call('ZADD', root .. 'due', over, due)
	else
		redis.call('ZADD', root .. 'due', now + tonumber(ARGV[4]), due)
		found[#found + 1] = due
		found[#found + 1] = m
	end
end
local dead = redis.call('ZRANGEBYSCORE', root .. 'dead', '-inf', now, 'LIMIT', 0, ARGV[3])
for _, d in ipairs(dead) do
	redis.call('ZADD', root .. 'dead', now + tonumber(ARGV[4]), d)
end
return {found, dead}
