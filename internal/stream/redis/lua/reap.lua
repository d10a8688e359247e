-- ARGV: name, now, generation, done, nodes that live...
-- Reports whether a deleted stream has no readers and offloaders any more; with
-- done, removes the rest of it. Without done, those of a node that is not known
-- to be alive are reported separately: it may have just started.
local nodes = redis.call('HVALS', key('q', ARGV[3])) -- segment: node
for _, r in ipairs(redis.call('HKEYS', key('f', ARGV[3]))) do -- node/follower
	nodes[#nodes + 1] = string.match(r, '^[^/]+')
end
for _, n in ipairs(nodes) do
	for i = 5, #ARGV do
		if ARGV[i] == n then
			return {0}
		end
	end
end
if #nodes > 0 and ARGV[4] == '0' then
	return {3}
end
if ARGV[4] == '2' or redis.call('EXISTS', key('p', ARGV[3]), key('q', ARGV[3])) == 0 then
	redis.call('DEL', key('d', ARGV[3]), key('f', ARGV[3]), key('p', ARGV[3]), key('q', ARGV[3]))
	redis.call('ZREM', root .. 'dead', ARGV[3] .. ':' .. name)
	return {2}
end
return {1}
