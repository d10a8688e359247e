-- ARGV: name, now, new generation, ttl, truncate, header of its first entry,
-- attempt or 0, sequence of its first line, then of what truncate replaces:
-- generation or '', next sequence as the node saw it
local m = redis.call('HMGET', meta, 'g', 'c', 'n', 'b')
local ttl = tonumber(ARGV[4])
local dead, old, ended = '', '', 0
local attempt, first = math.max(1, tonumber(ARGV[7])), ARGV[8]
if m[1] then
	if m[2] then
		return {2}
	end
	if ARGV[5] == '0' then
		redis.call('HSET', meta, 'a', now, 't', ttl)
		redis.call('ZADD', root .. 'due', 'LT', now + ttl, name)
		return {1, ''}
	end
	local left
	old = m[1]
	left, ended = remove(old, false, ARGV[9] == old and ARGV[10] or 0)
	if left == 1 then
		dead = old
	end
	local last, empty = tonumber(m[3] or 1), ended == tonumber(m[4] or 1)
	if empty and ARGV[7] == '0' then
		attempt = last
	elseif not empty and attempt <= last then
		attempt, first = last + 1, '1'
	end
end
redis.call('XADD', key('d', ARGV[3]), entry_id(first - 1, 1), ARGV[6], '')
redis.call('HSET', meta, 'g', ARGV[3], 'n', attempt, 'b', first, 'p', first, 'v', 0, 'a', now, 't', ttl)
redis.call('ZADD', root .. 'names', 0, name)
redis.call('ZADD', root .. 'due', now + ttl, name)
return {1, dead, old, ended}
