-- ARGV: name, now, generation or '', claiming node or ''
local m = redis.call('HMGET', meta, 'g', 'c', 'k')
if not m[1] or (ARGV[3] ~= '' and (m[1] ~= ARGV[3] or m[3] ~= ARGV[4])) then
	return {0}
end
return {1, m[1], remove(m[1], m[2])}
