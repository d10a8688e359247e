-- ARGV: name, now, follower, known generation or '', generation that the
-- follower is of or ''
local m = redis.call('HMGET', meta, 'g', 'c', 'n', 'b')
if not m[1] or (ARGV[4] ~= '' and m[1] ~= ARGV[4]) then
	local e = ARGV[4] ~= '' and redis.call('XREVRANGE', key('d', ARGV[4]), '+', '-', 'COUNT', 1)[1]
	if e and string.sub(e[2][1], 1, 1) == 'c' then
		return {2} -- deleted, but still to be read, to its end
	end
	return {0}
end
if ARGV[5] == '' or ARGV[5] == m[1] then
	allow_when_full()
	local f = key('f', m[1])
	redis.call('HSET', f, ARGV[3], redis.call('HGET', f, ARGV[3]) or 1) -- a write, for WAIT
end
return {1, m[1], (tail(m[1])), m[2] and 1 or 0, m[3], m[4]}
