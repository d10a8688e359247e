-- ARGV: name, now, follower, generation or '', cursors
local current = redis.call('HGET', meta, 'g')
local gen = ARGV[4] ~= '' and ARGV[4] or current
if not gen then
	return {0}
end
local f = key('f', gen)
if ARGV[5] ~= '0' then
	if current ~= gen and redis.call('EXISTS', key('d', gen)) == 0 then
		return {0} -- Redis has lost it: nobody would ever remove its readers
	end
	allow_when_full()
	redis.call('HSET', f, ARGV[3], ARGV[5])
	return {0}
end
redis.call('HDEL', f, ARGV[3])
if redis.call('EXISTS', f) == 0 and current ~= gen then
	return {1} -- the last reader of a deleted stream has left
end
return {0}
