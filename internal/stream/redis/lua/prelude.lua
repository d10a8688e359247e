-- What every script begins with; keys.go says what the keys hold. All keys of
-- a script have the hash tag of KEYS[1], the root of the bucket.
local root, name, now = KEYS[1], ARGV[1], tonumber(ARGV[2])
local meta = root .. 's:' .. name
local last = '18446744073709551615'

local function key(kind, gen)
	return root .. kind .. ':' .. gen .. ':' .. name
end

-- lost notes that the sequences from n to known - 1 were given to lines which
-- this Redis has not: a fail-over lost them. They are never given again.
local function lost(gen, n, known)
	redis.call('XADD', key('d', gen), (known - 1) .. '-' .. (known - n), 'g', '')
	redis.call('HSET', meta, 'n', known)
end

-- let_go ends a stream: its name is free, its readers read on to the end.
local function let_go(gen, n, closed)
	if not closed then
		redis.call('XADD', key('d', gen), n .. '-0', 'c', '')
	end
	redis.call('DEL', meta)
	redis.call('ZREM', root .. 'names', name)
	redis.call('ZREM', root .. 'due', name)
	if redis.call('EXISTS', key('f', gen), key('p', gen)) > 0 then
		redis.call('ZADD', root .. 'dead', now, gen .. ':' .. name)
		return 1
	end
	redis.call('DEL', key('d', gen))
	return 0
end
