package logs

import (
	"context"
	"errors"
	"time"

	logservice "github.com/harness/log-service"
)

// Streams is an engine of live logs. All methods are safe for concurrent use.
// Methods that change something return once the change is durable (as durable
// as the engine is: the embedded engine has synced it to disk, the in-memory
// one has it in memory). Errors wrap those of package logservice:
// ErrStreamNotFound for an identity that has no stream, ErrUnavailable for a
// backend that is down, full or broken.
type Streams interface {
	// Open creates a stream. One that is already open is kept with its lines
	// and readers (and gets the new TTL), so a retried open is harmless.
	// Truncate drops it: its readers reach the end, and a new stream begins. A
	// stream that is closed but not yet deleted returns ErrUnavailable: it is
	// being archived.
	Open(ctx context.Context, id logservice.ID, o OpenOptions) error

	// Append adds lines to an open stream, all of them or none, and returns the
	// sequence of the next line. An Offset beyond the end is a
	// *logservice.SequenceError; Lines documents how retries are recognized. A
	// closed stream returns ErrStreamNotFound. An empty Lines only requests the
	// next sequence.
	Append(ctx context.Context, id logservice.ID, l Lines) (next int64, err error)

	// Follow returns a cursor positioned after line after (0: at the start).
	// The stream may be open or closed. A cursor opened before its stream was
	// deleted still reaches the end, or gets a *ReleasedError if the engine had
	// to release the lines. It is a Reader.
	Follow(ctx context.Context, id logservice.ID, after int64) (Cursor, error)

	// Close ends a stream: it accepts no more lines, and every cursor reaches
	// io.EOF after the last line acknowledged before. Closing a closed stream
	// changes nothing and is not an error. The stream remains, for its
	// archiving, until Delete; how it was closed survives a restart.
	Close(ctx context.Context, id logservice.ID, how Closing) error

	// Delete removes a stream. Existing cursors continue to the end. The
	// deletion of a closed stream need not be durable at once: a crash may
	// bring it back, closed as it was, so that the server that archived it
	// deletes it again.
	Delete(ctx context.Context, id logservice.ID) error

	// List describes the streams selected by f, open and closed, in no
	// particular order.
	List(ctx context.Context, f Filter) ([]Info, error)

	// Stat describes one stream.
	Stat(ctx context.Context, id logservice.ID) (Info, error)

	// Due describes the streams that need action: closed ones, and open ones
	// whose time to live has passed. If several servers share an engine, a
	// stream claimed by one of them is not returned to the others while that
	// server is alive.
	Due(ctx context.Context) ([]Info, error)

	// Claim reserves a closed stream for one server to archive and delete.
	// ErrStreamNotFound: there is no closed stream. ErrClaimed: another server
	// has it. A server that dies loses its claims.
	Claim(ctx context.Context, id logservice.ID) (Claim, error)

	// Take claims a closed stream for a server that replaces or deletes the
	// log. It also takes over the claim of another server, unless that server
	// has committed its archive (ErrClaimed, until the archive is stored). Its
	// result is durable, and so is Delete of the claim: after ErrStreamNotFound
	// no crash brings a closed stream back.
	Take(ctx context.Context, id logservice.ID) (Claim, error)
}

// ErrClaimed means that another server is archiving the stream.
var ErrClaimed = errors.New("another server archives the stream")

// Claim is a closed stream that one server archives.
type Claim interface {
	// How returns how the stream was closed.
	How() Closing
	// Commit is called immediately before the archive becomes visible: from
	// then on nobody can take over the claim. ErrClaimed: another server has
	// taken it over. ErrStreamNotFound: the stream is deleted. After either,
	// nothing may be stored.
	Commit(ctx context.Context) error
	// Rollback is called if storing a committed archive has failed.
	Rollback(ctx context.Context)
	// Delete removes the stream, like Streams.Delete. ErrStreamNotFound: the
	// claim was lost, and nothing was done.
	Delete(ctx context.Context) error
	// Release gives up the claim, so that another server can take it at once.
	Release(ctx context.Context)
}

// Checker is an engine or a store that can check its own health.
type Checker interface {
	// Check reports whether data written now would become durable: the disk has
	// free space and responds, every failed sync has been recovered from, the
	// backend accepts changes. The error is ErrUnavailable, and describes the
	// problem in words that anybody may see. Results are not cached. If Check
	// would have to wait for something that hangs, it returns when ctx ends. It
	// is not called concurrently.
	Check(ctx context.Context) error
}

// Cursor reads one stream in order. It is used and closed by one goroutine.
type Cursor interface {
	// Next returns the batches after the cursor and advances it: at most about
	// 256 KiB, no line twice, none skipped. It does not wait for new lines: if
	// there are none, it returns (nil, nil). The first batch starts directly
	// after the cursor, even if that is inside one append. Lost lines are a
	// batch with Gap set. After the last line of a closed stream it returns
	// io.EOF. It may read from disk or network.
	Next(ctx context.Context) ([]*Batch, error)
	// Ready returns a channel that is closed once Next has something to return.
	// Call it again after every Next.
	Ready() <-chan struct{}
	Close()
}

// OpenOptions determine how a stream is opened.
type OpenOptions struct {
	// TTL is how long the stream lives after its last activity; zero is
	// logservice.DefaultTTL, and never more than logservice.MaxTTL.
	TTL      time.Duration
	Truncate bool
	// Attempt is the number of the attempt that a new stream belongs to, and
	// First the sequence of its first line: more than 1 if the attempt has
	// lines that are stored already. Zero is 1. A stream that replaces one with
	// lines (Truncate) gets at least the number after that one's.
	Attempt int64
	First   int64
}

// Lines are the contents of one append. Data belongs to the caller again once
// Append has returned: an engine copies what it needs.
type Lines struct {
	Data  []byte // as Batch.Data
	Count int64
	// Offset is the intended sequence of the first line; zero means the next
	// one. Lines that the stream already has (sequences below its next) are
	// acknowledged and not stored again.
	Offset int64
	// Dedupe allows the engine to acknowledge, without storing it, a batch that
	// is identical to a recent batch of the stream: the retry of a client that
	// does not support offsets. The parser of the lines sets it if their marks
	// distinguish a retry from two equal batches; see package lines. It has no
	// effect together with an Offset.
	Dedupe bool
}

// Closing records how a stream was closed, so that the work can be finished
// after a restart.
type Closing struct {
	// Archive determines whether the log is archived before the stream is
	// deleted.
	Archive Archiving
	// Incomplete marks a log whose writer was silent for longer than its time
	// to live.
	Incomplete bool
}

// Archiving is what a close does with the log.
type Archiving uint8

// The zero value is the default of a close. The first two do the same: clients
// ask for one or the other, and an archive never replaces another attempt or an
// upload.
const (
	ArchiveIfMissing Archiving = iota
	ArchiveAlways
	ArchiveNever // only what was uploaded stays
)

// Filter selects streams. An empty Account selects all accounts; only callers
// that may see all of them leave it empty.
type Filter struct {
	Account string
	Prefix  logservice.Key // see Key.Under; empty selects all
}

// Info describes a live stream.
type Info struct {
	ID          logservice.ID
	Attempt     int64 // which attempt of the log it is, from 1
	First       int64 // the sequence of its first line; see OpenOptions
	Lines       int64 // sequences assigned so far, those before First included
	Bytes       int64 // of JSON held, line breaks included
	Subscribers int   // cursors
	// TTL is the time left until the stream is considered abandoned, measured
	// since its last append or open on a clock that cannot jump; zero or
	// negative once it has passed.
	TTL    time.Duration
	Closed bool
	How    Closing // of a closed stream
	// Node is the server through which the stream is written, if there can be
	// several.
	Node string
}

// Empty reports whether the stream has no line.
func (i *Info) Empty() bool { return i.Lines < i.First }

// Pending reports whether the stream is closed and still to be archived.
func (i *Info) Pending() bool { return i.Closed && i.How.Archive != ArchiveNever }

// From drops the lines below sequence next, which the stream already has.
// Offset must be set and not beyond next.
func (l Lines) From(next int64) Lines {
	n := min(next-l.Offset, l.Count)
	l.Data, l.Offset, l.Count = skip(l.Data, n), l.Offset+n, l.Count-n
	return l
}
