package logs

import (
	"context"
	"errors"
	"time"

	logservice "github.com/harness/log-service"
)

// Streams is an engine of live logs. All methods may be called from any
// number of goroutines. The methods that change something return once the
// change is durable (as durable as the engine is: the embedded one has it on
// disk and synced, the one in memory has it in memory). Errors are those of
// package logservice, wrapped: ErrStreamNotFound for an identity that has no
// stream, ErrUnavailable for a backend that is down, full or broken.
type Streams interface {
	// Open makes a stream. One that is open already is kept with its lines
	// and its tailers (and takes the new TTL), so a retried open is harmless;
	// Truncate drops the lines: its tailers reach the end, the new stream starts
	// at sequence 1. A stream that is closed but not yet deleted answers
	// ErrUnavailable: it is being archived.
	Open(ctx context.Context, id logservice.ID, o OpenOptions) error

	// Append adds lines to an open stream, all of them or none, and returns
	// the sequence that the next line will get. Offset beyond the end is a
	// *logservice.SequenceError; see Lines for what else is recognised. A
	// closed stream answers ErrStreamNotFound. An empty Lines only asks for
	// the next sequence.
	Append(ctx context.Context, id logservice.ID, l Lines) (next int64, err error)

	// Follow returns a cursor that stands behind the line after (0: at the
	// start). The stream may be open or closed; a cursor that was taken
	// before its stream was deleted still reaches the end, or, where an engine
	// has had to release the lines, gets a *ReleasedError. It is a Reader.
	Follow(ctx context.Context, id logservice.ID, after int64) (Cursor, error)

	// Close ends a stream: no line comes after, and every cursor reaches
	// io.EOF behind the last line acknowledged before. Closing a closed
	// stream changes nothing and is no error. The stream stays, for its
	// archiving, until Delete; how it was closed survives a restart.
	Close(ctx context.Context, id logservice.ID, how Closing) error

	// Delete lets a stream go. Cursors that exist read on to the end. That a
	// closed stream is gone need not be durable at once: a crash may bring it
	// back, closed as it was, for whoever archived it to delete it again.
	Delete(ctx context.Context, id logservice.ID) error

	// List describes the streams of f, open and closed, in no order.
	List(ctx context.Context, f Filter) ([]Info, error)

	// Stat describes one stream.
	Stat(ctx context.Context, id logservice.ID) (Info, error)

	// Due describes the streams that a service must see to: closed ones, and
	// open ones whose time to live is over. Where several services share an
	// engine, a stream that one of them has is not told to the others while
	// that one lives.
	Due(ctx context.Context) ([]Info, error)

	// Claim takes a closed stream for one service to archive and delete.
	// ErrStreamNotFound: there is no closed stream; ErrClaimed: another
	// service has it. A service that dies loses its claims.
	Claim(ctx context.Context, id logservice.ID) (Claim, error)

	// Take claims a closed stream for a service that replaces or deletes the
	// log: also one that another service has, unless that has committed its
	// archive (ErrClaimed, for as long as it takes to store). What it answers
	// is durable, and so is Delete of the claim: ErrStreamNotFound means that
	// no crash brings a closed stream back.
	Take(ctx context.Context, id logservice.ID) (Claim, error)
}

// ErrClaimed says that another service archives a stream.
var ErrClaimed = errors.New("another server archives the stream")

// Claim is a closed stream that one service archives.
type Claim interface {
	// How says how the stream was closed.
	How() Closing
	// Commit comes right before the archive is made visible: nobody takes the
	// claim from then on. ErrClaimed: another service has taken it;
	// ErrStreamNotFound: the stream is gone. Either way nothing may be stored.
	Commit(ctx context.Context) error
	// Rollback comes where storing a committed archive has failed.
	Rollback(ctx context.Context)
	// Delete lets the stream go, as Streams.Delete. ErrStreamNotFound: it is
	// not this claim's any more, and nothing was done.
	Delete(ctx context.Context) error
	// Release gives the claim up, for another service to take it at once.
	Release(ctx context.Context)
}

// Checker is an engine or a store that can say whether it works.
type Checker interface {
	// Check says whether what is written now would become durable: the disk
	// has free space and answers, no sync has failed that has not been
	// recovered from, the backend takes changes. The error is ErrUnavailable,
	// and reads as what is wrong in words that anybody may see. It remembers no
	// answer; where it would have to wait for what hangs, it returns when ctx
	// ends. Nobody calls it twice at a time.
	Check(ctx context.Context) error
}

// Cursor reads one stream in order. It is used by one goroutine and must be
// closed by it.
type Cursor interface {
	// Next returns the batches that follow the cursor and moves past them: at
	// most about 256 KiB of them, never a line twice, never one skipped. It
	// does not wait for lines to come: nothing new is (nil, nil). The first
	// batch starts right behind the cursor, also where that is inside what
	// was appended as one. Lines that are gone come as a batch with Gap set.
	// Behind the last line of a closed stream it returns io.EOF. It may read
	// from disk or network.
	Next(ctx context.Context) ([]*Batch, error)
	// Ready returns a channel that is closed once Next has something to
	// return. Ask again after every Next.
	Ready() <-chan struct{}
	Close()
}

// OpenOptions say how a stream is opened.
type OpenOptions struct {
	// TTL is how long the stream lives after its last activity; zero is
	// logservice.DefaultTTL, and never more than logservice.MaxTTL.
	TTL      time.Duration
	Truncate bool
}

// Lines are what one append carries. Data is the caller's again once Append
// has returned: an engine copies what it keeps.
type Lines struct {
	Data  []byte // as Batch.Data
	Count int64
	// Offset is the sequence that the first line shall get, zero for
	// whatever comes next. Lines that the stream has already (sequences
	// below its next) are acknowledged and not stored again.
	Offset int64
	// Dedupe lets the engine acknowledge, without storing it, a batch that is
	// byte for byte one of the last batches of the stream: the retry of a client
	// that cannot say an offset. Whoever parses the lines sets it, once, where
	// their marks tell a retry from two equal batches; see package lines. It
	// means nothing beside an Offset.
	Dedupe bool
}

// Closing says how a stream was closed, for whoever finishes the work after a
// restart.
type Closing struct {
	// Archive asks for the log to be archived before the stream is deleted;
	// see the constants.
	Archive Archiving
	// Incomplete marks a log whose writer went silent past its time to live.
	Incomplete bool
}

// Archiving says what a close does with the log.
type Archiving uint8

// The ways to archive; the zero value is the default of a close.
const (
	ArchiveIfMissing Archiving = iota // unless a blob of that key exists
	ArchiveAlways                     // replacing a blob of that key
	ArchiveNever
)

// Filter selects streams. An empty Account is all accounts: only callers that
// may see them all leave it so.
type Filter struct {
	Account string
	Prefix  logservice.Key // whole segments; empty is all
}

// Info describes a live stream.
type Info struct {
	ID          logservice.ID
	Lines       int64 // sequences given so far
	Bytes       int64 // of JSON held, line breaks included
	Subscribers int   // cursors
	// TTL is what is left until the stream counts as abandoned, counted from
	// its last append or open on a clock that cannot jump; at most zero once
	// it is over.
	TTL    time.Duration
	Closed bool
	How    Closing // of a closed one
	// Node names the server that the stream is written through, where there
	// may be several.
	Node string
}

// Pending reports that the stream is closed and to be archived.
func (i *Info) Pending() bool { return i.Closed && i.How.Archive != ArchiveNever }

// From drops the lines below sequence next, which the stream has already.
// Offset must be set and not beyond next.
func (l Lines) From(next int64) Lines {
	n := min(next-l.Offset, l.Count)
	l.Data, l.Offset, l.Count = skip(l.Data, n), l.Offset+n, l.Count-n
	return l
}
