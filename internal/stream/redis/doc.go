// Package redis is the engine of live logs for several nodes: the streams are in
// one Redis (standalone, with Sentinel, or a Cluster), and every node can write
// and read all of them.
//
//	Append ─► one XADD at the sequence that the node expects to ─► acknowledged
//	          be next: rejected if the stream is longer by now
//	                                     │
//	                     Redis Stream: an entry per batch, its ID says which lines
//	                        │                        │
//	   one blocking XREAD per bucket and node        └─► older lines: segments in the
//	                        │                            blob store
//	                        ▼                                  │
//	Cursor.Next ◄── batches that the node's readers share ◄────┘
//
// # Keys
//
// Streams are spread over sixteen buckets, each with a hash tag of its own. So
// one script changes a stream and its indexes together, even in a Cluster, and a
// node follows all streams of a bucket over one connection. The root of a bucket
// is prefix{tag}:. Below it, for a stream with the escaped name account/key, are
//
//	s:name          hash    the state of the stream, see the fields below
//	d:gen:name      stream  an entry per batch, with the ID <first sequence>-0 and
//	                        one field: its name is a header, see header.go, its
//	                        value the lines
//	p:gen:name      zset    segments in the blob store by their first sequence
//	r:gen:name      zset    what identifies the recent appends of segments, also by
//	                        first sequence; see trace.go
//	q:gen:name      hash    segments that are being stored, by name, and by which
//	                        node
//	f:gen:name      hash    cursors by node and follower
//	names           zset    the names of all streams, in order
//	due             zset    when a node has to attend to a stream
//	dead            zset    gen:name of deleted streams that still have readers
//	                        or segments
//	wake:node       stream  wakes the reader of a node
//	kept:node       string  written to wait for replicas: if appends wait for
//	                        them, readers see only what they have
//	beat:node       string  the number of the node's last heartbeat in the bucket
//	process         hash    the Redis process that has the bucket, and since when
//	canary, evicts  string  see beat.lua
//
// and, below the first root only, clock and nodes (see heartbeat.lua) and
// link-key, which signs links. A stream that is deleted and opened again has
// another generation, gen, so no reader ever sees the lines of both.
//
// The fields of a stream:
//
//	g     generation
//	n, b  attempt of the log, and sequence of its first line (both 1 if an older
//	      version opened it)
//	p, v  first sequence that is not in a segment, and the cost of the lines
//	      before it
//	t, a  lifetime, and last activity other than appends, in milliseconds of the
//	      service's clock
//	c     how it was closed
//	k, x  node that archives it; set while that node makes the archive visible
//	m     node that offloads lines
//	w     next sequence that a node saw and Redis has lost
//
// The changes by an append are in its own entry, so a batch is one command and no
// script touches its bytes.
//
// The first entry of a stream has the ID of the line before b, even if there are
// lines before b: these belong to the same attempt and are stored elsewhere.
//
// # Appending
//
// A node keeps the tail state of each stream that it appends to: the next
// sequence, the bytes so far, the recent appends. From these it makes the entry,
// whose ID is the sequence that it expects to be next. Redis adds an entry only
// if its ID is above all earlier ones, and every stream begins with an entry. So
// an append is a compare-and-set of the next sequence, and of everything else
// that the entry is based on. If it is rejected, or its response is lost, the
// node reads the newest entries. It acknowledges without adding (a retry), or
// rejects (a gap, a closed stream), only after it has read the tail again.
//
// A retry is searched for among the appends of the last two and a half minutes.
// Their checksums are in their entries, or in traces if the entries are in
// segments by now. A node that has not followed the stream for that long reads
// them back; that its entry is accepted proves that it lacks nothing.
//
// The newest entry never leaves Redis. If Redis lost lines in a failover, the
// next entry skips their sequences: sequences between two entries that are in no
// segment are a gap. An ID above the last one proves nothing to a node that has
// seen more. So a node reads the tail of every stream again after each new
// connection; if that happened during an append, it also reads what its entry
// follows before it acknowledges. The end mark has the highest possible ID.
//
// # What Redis loses
//
// A Redis may be flushed, restart empty or from an old snapshot, or be replaced
// by a replica that lags. Each node keeps marks (marks.go), also in a small file:
// how far it saw each log advance, and which logs it closed or deleted. At its
// start, when a heartbeat finds that Redis has lost the previous one, and after
// each new connection, it compares these with Redis (monitor.go, reconcile.lua):
// missing lines become a gap, and what was closed or deleted is closed or deleted
// again, by its generation. Losses that no node knows of cannot be detected: see
// docs/scaling.md.
//
// # Files
//
// No file uses one that is listed after it:
//
//	config, answer, scripts, metrics, client   calls of Redis, with a limit
//	header, entry, closing, keys               the format
//	members, policy, marks, work               clock, live nodes, eviction, what this node saw
//	node, keyspace                             shared by all parts; a handle of one generation
//	segment, read, reap                        operations on a handle
//	follower, load, followers, cursor          readers of this node
//	wake, reader, monitor                      data from Redis, and what it lost
//	tail, trace, offload, refresh              what an append is based on
//	recent, append                             writing
//	lifecycle, claim, list                     open, close, delete, archive, describe
//	bucket, health, linkkey                    the parts together
//	starterror, startup, engine
package redis
