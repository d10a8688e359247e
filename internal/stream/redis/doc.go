// Package redis is the engine of live logs for servers of several nodes: the
// streams are in one Redis (a single one, one behind Sentinel, or a Cluster),
// and every node may write and read all of them.
//
//	Append ─► one XADD at the sequence that the node takes for ─► acknowledged
//	          the next: refused where the stream has gone on
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
// Streams are spread over sixteen buckets, whose keys have a hash tag of their
// own: so a script changes a stream and the indexes it is in at once, also in
// a Cluster, and a node follows all streams of a bucket with one connection.
// Below the root of a bucket, prefix{tag}: there are, for a stream of the
// escaped name account/key,
//
//	s:name          hash    what is known of the stream, see the fields below
//	d:gen:name      stream  an entry per batch, with the ID <first sequence>-0 and
//	                        one field: its name is a header, see header.go, its
//	                        value the lines
//	p:gen:name      zset    segments in the blob store by their first sequence
//	r:gen:name      zset    what identifies the recent appends of segments, by the
//	                        same; see trace.go
//	q:gen:name      hash    segments that are being stored, by name, and the nodes
//	                        that do
//	f:gen:name      hash    cursors by node and follower
//	names           zset    the names of all streams, in order
//	due             zset    when somebody has to see to a stream
//	dead            zset    gen:name of deleted streams that still have readers
//	                        or segments
//	wake:node       stream  wakes the reader of a node
//	kept:node       string  written to wait for replicas: readers see what these
//	                        have, where appends wait for them
//	beat:node       string  the number of the node's last heartbeat in the bucket
//	process         hash    which Redis process has the bucket, since when
//	canary, evicts  string  see beat.lua
//
// and, below the first root only, clock and nodes (see heartbeat.lua) and
// link-key, which signs links. A stream that is deleted and opened again has
// another generation, gen, so no reader ever sees the lines of both.
//
// The fields of a stream: g generation, n which attempt of the log it is, b the
// sequence of its first line (both are 1 where an older version opened it), p the
// first sequence that is not in a segment, v what the lines before it cost, t
// time to live and a last activity beside appends in milliseconds of the
// service's clock, c how it was closed, k the node that archives it, x set while
// that node makes the archive visible, m the node that offloads lines, w the next
// sequence as a node saw it that Redis has lost. What each append changes is in
// its own entry, so a batch is one command and no script touches its bytes.
//
// The first entry of a stream stands where the line before b would, also if there
// are lines below b: these are of the same attempt, and stored elsewhere.
//
// # Appending
//
// A node keeps the tail of each stream it appends to: the next sequence, the
// bytes so far, the recent appends. From these it makes the entry, whose ID is
// the sequence that it takes for the next. Redis adds an entry only where its
// ID is above all it has had, and every stream begins with an entry: so an
// append is a compare-and-set of the next sequence, and of all else that the
// node built on. Where it is refused, or its answer did not come, the node looks
// at the newest entries. What is acknowledged without being added (a retry), or
// refused (a gap, a closed stream), is so only after it has read the tail again.
//
// A retry is looked for among the appends of the last two and a half minutes,
// whose checksums are in their entries, or in traces of those that are in
// segments by now. A node that has not followed the stream for as long reads them
// back; what it knows is complete where its entry is accepted.
//
// The newest entry never leaves Redis. An entry after lines that Redis has lost
// in a fail-over leaves them out; what is between two entries and in no segment is
// a gap. An ID that is above the last one proves nothing to a node that knew of
// more: so a node reads the tail of every stream again once it has connected anew,
// and where it did so during an append, what its entry follows, before it
// acknowledges that. The mark of the end has the highest ID there is.
//
// # What Redis loses
//
// A Redis may be flushed, restart with nothing or with an old snapshot, or be
// replaced by a replica that has less. Each node keeps marks (marks.go), in a
// small file too: how far it saw each log get, which it closed, which it
// deleted. When it starts, when a heartbeat finds that Redis has lost the one
// before, and after each new connection, it compares these with what Redis has
// (monitor.go, reconcile.lua): lines that are missing will be a gap, and what was
// closed or deleted is so again, by its generation. What has no witness cannot
// be known: see docs/scaling.md.
//
// # Files
//
// None uses one that is listed after it:
//
//	config, answer, scripts, metrics, client   calls of Redis, with a limit
//	header, entry, closing, keys               the format
//	members, policy, marks, work               the clock, who is alive, eviction, what this node saw
//	node, keyspace                             what all parts share; a handle of one generation
//	segment, read, reap                        what is done with a handle
//	follower, load, followers, cursor          readers of this node
//	wake, reader, monitor                      what comes from Redis, and what it lost
//	tail, trace, offload, refresh              what an append builds on
//	recent, append                             writing
//	lifecycle, claim, list                     open, close, delete, archive, describe
//	bucket, health, linkkey                    putting it together
//	starterror, startup, engine
package redis
