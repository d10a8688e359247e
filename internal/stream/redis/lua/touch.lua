-- ARGV: '', now, node
-- Writes something, for WAIT to wait for.
allow_when_full()
redis.call('SET', root .. 'kept:' .. ARGV[3], '', 'EX', 3600)
return {1}
