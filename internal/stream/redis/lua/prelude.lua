-- What every script begins with; doc.go says what the keys hold. All keys of a
-- script have the hash tag of KEYS[1], the root of the bucket.
local root, name, now = KEYS[1], ARGV[1], tonumber(ARGV[2])
local meta = root .. 's:' .. name

local function key(kind, gen)
	return root .. kind .. ':' .. gen .. ':' .. name
end

-- entry_id returns the ID of an entry: Lua itself rounds large numbers.
local function entry_id(sequence, part)
	return string.format('%.0f-%d', sequence, part)
end

-- tail returns the end of a generation: the next sequence and the header of its
-- newest entry, as header.go lays it out.
local function tail(gen)
	local e = redis.call('XREVRANGE', key('d', gen), '+', '-', 'COUNT', 1)[1]
	if not e then -- a Redis that evicts has dropped the lines
		local m = redis.call('HMGET', meta, 'p', 'v')
		local h = 'o' .. struct.pack('>I4I8I8I8', 1, 0, tonumber(m[2]), now) .. string.rep('\0', 12)
		redis.call('XADD', key('d', gen), entry_id(m[1] - 1, 1), h, '')
		return tonumber(m[1]), h
	end
	local h = e[2][1]
	if string.sub(h, 1, 1) == 'c' then
		return (struct.unpack('>I8', h, 30)), h
	end
	return string.match(e[1], '^%d+') + struct.unpack('>I4', h, 2), h
end

-- describe adds to found what an entry is without its lines.
local function describe(found, e)
	found[#found + 1] = e[1]
	found[#found + 1] = e[2][1]
	found[#found + 1] = #e[2][2]
end

-- allow_when_full lets what follows write where Redis is full: it refuses a script
-- its first write only, and not one that frees memory. What ends, moves or
-- removes a stream must go on, or nothing would ever free any.
local function allow_when_full()
	redis.call('HDEL', root .. 'full', '')
end

-- mark returns the header of an entry without lines that follows the header h.
local function mark(kind, lines, sum, h)
	return kind .. struct.pack('>I4', lines) .. string.sub(h, 6, 29) .. struct.pack('>I8I4', sum, 0) .. string.sub(h, 42)
end

-- restarted returns when, by the service's clock, it was noticed last that
-- another Redis process has the bucket, which may have lost lines; 0 where none
-- was. The user of a node may lack the right to know.
local function restarted()
	local info = redis.pcall('INFO', 'server')
	local run = type(info) == 'string' and string.match(info, 'run_id:(%x+)')
	local b = redis.call('HMGET', root .. 'process', 'run', 'since')
	if not run or b[1] == run then
		return tonumber(b[2] or 0)
	end
	allow_when_full()
	local since = b[1] and now or 0
	redis.call('HSET', root .. 'process', 'run', run, 'since', since)
	return since
end

-- finish lets no line come after those of a generation, and returns the
-- sequence that the next one would have got. Where it was seen to get further,
-- a failover lost the rest. The end has the highest ID there is: nothing comes
-- after it, and whoever has seen more than Redis has now sees it.
local function finish(gen, seen)
	allow_when_full()
	local n, h = tail(gen)
	seen = math.max(tonumber(seen or 0), tonumber(redis.call('HGET', meta, 'w') or 0))
	if seen > n then
		redis.call('XADD', key('d', gen), entry_id(n, 0), mark('g', seen - n, 0, h), '')
		n = seen
	end
	redis.call('XADD', key('d', gen), '9223372036854775807-0', mark('c', 0, n, h), '')
	redis.call('DEL', key('r', gen)) -- no retry is acknowledged any more
	return n
end

-- remove ends a stream, as finish does one that is not closed: its name is free,
-- its readers read on to the end. It returns whether something must be reaped, and
-- the next sequence.
local function remove(gen, closed, seen)
	local n = closed and tail(gen) or finish(gen, seen)
	redis.call('DEL', meta)
	redis.call('ZREM', root .. 'names', name)
	redis.call('ZREM', root .. 'due', name)
	if redis.call('EXISTS', key('f', gen), key('p', gen), key('q', gen)) > 0 then
		redis.call('ZADD', root .. 'dead', now, gen .. ':' .. name)
		return 1, n
	end
	redis.call('DEL', key('d', gen))
	return 0, n
end
