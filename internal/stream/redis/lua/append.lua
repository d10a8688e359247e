-- ARGV: name, now, generation, then ID, header and lines of each piece
-- Adds the pieces of an append that is too long for one entry: all of them, or
-- none if the stream is longer or was deleted.
for i = 4, #ARGV, 3 do
	local id = redis.pcall('XADD', key('d', ARGV[3]), 'NOMKSTREAM', ARGV[i], ARGV[i + 1], ARGV[i + 2])
	if not id or type(id) == 'table' then
		return id -- of the first piece: those after it follow it
	end
end
return {1}
