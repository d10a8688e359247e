-- ARGV: name, now, follower, known generation or '', known next, generation
-- that the follower is of or ''
local m = redis.call('HMGET', meta, 'g', 'n', 'c', 'p')
if not m[1] or (ARGV[4] ~= '' and m[1] ~= ARGV[4]) then
	if ARGV[4] ~= '' and redis.call('EXISTS', key('d', ARGV[4])) == 1 then
		return {2} -- deleted, but still to be read
	end
	return {0}
end
local n, known = tonumber(m[2]), tonumber(ARGV[5])
if ARGV[4] ~= '' and known > n then
	lost(m[1], n, known)
	n = known
end
if ARGV[6] == '' or ARGV[6] == m[1] then
	redis.call('HSETNX', key('f', m[1]), ARGV[3], 1)
end
return {1, m[1], n, m[3] and 1 or 0}
