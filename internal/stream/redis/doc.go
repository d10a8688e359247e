// Package redis is the engine of live logs for servers of several nodes: the
// streams are in one Redis (a single one, one behind Sentinel, or a Cluster),
// and every node may write and read all of them.
//
//	Append ─► one script: sequence, gap and retry check, XADD ─► acknowledged
//	                                     │
//	                     Redis Stream: an entry a batch, its ID says which lines
//	                        │                        │
//	   one blocking XREAD a bucket and node          └─► older lines: parts in the
//	                        │                            blob store
//	                        ▼                                  │
//	Cursor.Next ◄── batches that the node's readers share ◄────┘
//
// # Keys
//
// Streams are spread over sixteen buckets, whose keys have a hash tag of their
// own: so a script changes a stream and the indexes it is in at once, also in
// a Cluster, and a node follows all streams of a bucket with one connection.
// Below the root of a bucket, prefix{tag}: there are, for a stream of the
// escaped name account/key,
//
//	s:name          hash    what is known of the stream, see the fields below
//	d:gen:name      stream  an entry a batch. Its ID is <last sequence>-<lines>;
//	                        field d holds the lines, g marks lost ones, and c,
//	                        with ID <next sequence>-0, the end
//	p:gen:name      zset    parts in the blob store by their first sequence
//	f:gen:name      hash    cursors by node and follower
//	names           zset    the names of all streams, in order
//	due             zset    when somebody has to look at a stream
//	dead            zset    gen:name of deleted streams that still have readers
//	                        or parts
//	wake:node       stream  wakes the reader of a node
//
// and, below the first root only, clock and nodes (see heartbeat.lua) and
// link-key, which signs links. A
// stream that is deleted and opened again has another generation, gen, so no
// reader ever sees the lines of both.
//
// The fields of a stream: g generation, n next sequence, b bytes of all lines,
// h bytes held in Redis, p the first sequence that is not in a part, t time to
// live and a last activity in milliseconds of the service's clock, r checksums
// of the last appends, w the node that wrote last, c how it was closed, k the
// node that archives it, m the node that moves parts.
package redis
