-- ARGV: '', now, node
-- Writes something, for WAIT to wait for.
though_full()
redis.call('SET', root .. 'kept:' .. ARGV[3], '', 'EX', 3600)
return {1}
