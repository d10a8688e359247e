-- ARGV: name, now, generation, done, nodes that live...
-- Tells whether a deleted stream has no readers any more, and with done
-- removes the rest of it.
local readers = redis.call('HKEYS', key('f', ARGV[3]))
for _, r in ipairs(readers) do -- node/follower
	for i = 5, #ARGV do
		if ARGV[i] == string.match(r, '^[^/]+') then
			return {0}
		end
	end
end
local parts = redis.call('EXISTS', key('p', ARGV[3]))
if ARGV[4] == '1' or parts == 0 then
	redis.call('DEL', key('d', ARGV[3]), key('f', ARGV[3]), key('p', ARGV[3]))
	redis.call('ZREM', root .. 'dead', ARGV[3] .. ':' .. name)
	return {2}
end
return {1}
