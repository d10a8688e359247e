-- ARGV: name, now, node, generation, cost of all lines as the node saw it, most
-- that a stream may hold
-- Releases the claim of the offloading, unless another node has added more than
-- the stream may hold since: it found the claim held, and left that to its holder.
local m = redis.call('HMGET', meta, 'g', 'v', 'm')
if m[1] ~= ARGV[4] or m[3] ~= ARGV[3] then
	return {0}
end
local _, h = tail(m[1])
local cost = struct.unpack('>I8', h, 14)
if cost > tonumber(ARGV[5]) and cost - m[2] > tonumber(ARGV[6]) then
	return {1}
end
redis.call('HDEL', meta, 'm')
return {0}
