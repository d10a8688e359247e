-- ARGV: name, now, node, generation, holder that is dead or ''
-- Claims the moving of a stream's oldest lines.
local m = redis.call('HMGET', meta, 'g', 'p', 'h', 'm')
if m[1] ~= ARGV[4] then
	return {0}
end
if m[4] and m[4] ~= '' and m[4] ~= ARGV[3] and m[4] ~= ARGV[5] then
	return {2, m[4]}
end
redis.call('HSET', meta, 'm', ARGV[3])
return {1, tonumber(m[2]), tonumber(m[3])}
