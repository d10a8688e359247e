package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
)

// Limits of a Writer.
const (
	// DefaultMemory is how many bytes of unacknowledged JSON a Writer holds: some
	// 100,000 lines, which is minutes of a busy build.
	DefaultMemory = 16 << 20
	// DefaultWriterPatience is how long a Writer tries to deliver a batch: long
	// enough to move a server.
	DefaultWriterPatience = 10 * time.Minute
	// partialAfter is when an unterminated line is sent as it is, so that prompts
	// show.
	partialAfter = 250 * time.Millisecond
	// linger is how long a line waits for others to share its request. People
	// do not notice it, and a chatty program makes ten requests per second.
	linger = 100 * time.Millisecond
	// maxPieceBytes is the length at which a line is split into pieces, of which
	// only the last ends in \n. A byte may become six in JSON, so a piece always
	// fits in the server's line limit.
	maxPieceBytes = 128 << 10
	// drainTime is how long Close waits without any acknowledgement.
	drainTime = time.Minute
)

// Writer is an io.WriteCloser that appends what is written to one log, in order,
// from its own goroutine. Its methods are safe for concurrent use. Create one
// with Client.Writer, and Close it when done.
//
// Batches are retried until the server has them. Each batch carries its offset in
// the log, so it is never stored twice. Lines that could not be delivered are
// counted in Stats and reported by Close.
//
// A Writer expects to be the only one that writes to its log. The server takes
// lines appended by others for resent lines of this Writer, and may drop as many
// of its own. The Writer fails with logservice.ErrConflict if it detects this,
// which is not always possible. If several programs write to one log, each must
// use Shared.
type Writer struct {
	c   *Client
	key logservice.Key
	writing

	ctx    context.Context
	cancel context.CancelCauseFunc
	wake   chan struct{} // of capacity 1: wakes the sender
	done   chan struct{} // closed when the sender has returned

	mu      sync.Mutex // guards the fields below; never held during I/O
	partial []byte     // text after the last newline
	since   time.Time  // when partial was started
	batch   *batch     // being filled; nil if empty
	full    []*batch   // waiting to be sent
	pos     int64      // of the next line
	stats   Stats
	flushTo int64         // number of lines that a Flush waits for
	changed chan struct{} // closed and replaced whenever lines are acknowledged
	closed  bool          // no more lines are accepted
	err     error         // why the Writer has failed; set once, before done
}

// Stats counts what a Writer has done. Lines - Sent - Lost are still in memory.
type Stats struct {
	Lines   int64 // accepted; a long or partial line counts once per piece sent
	Bytes   int64 // of text accepted
	Sent    int64 // lines acknowledged by the server
	Retries int64 // requests that were retried
	// Lost counts lines that could not be delivered, and lines that the server
	// lost after it had acknowledged them.
	Lost int64
	// Pending is the number of bytes of JSON held in memory.
	Pending int64
}

// WriterOption configures Client.Writer.
type WriterOption func(*writing)

// writing holds the options of a Writer.
type writing struct {
	level    string
	shared   bool
	memory   int64
	patience time.Duration
	compress bool
}

// Level sets the level of the lines that Write makes. The default is "info".
func Level(name string) WriterOption { return func(w *writing) { w.level = name } }

// Shared allows others to write to the log at the same time. Batches then carry
// no offset: the server recognises a resent batch by the position and time of its
// lines, as long as it is among the last batches of the log.
func Shared() WriterOption { return func(w *writing) { w.shared = true } }

// Memory limits the bytes of JSON held before Write blocks. The default is
// DefaultMemory.
func Memory(bytes int64) WriterOption { return func(w *writing) { w.memory = bytes } }

// WriterPatience limits how long the Writer tries to deliver a batch before it
// fails. The default is DefaultWriterPatience; zero means until the context
// ends.
func WriterPatience(d time.Duration) WriterOption {
	return func(w *writing) {
		w.patience = d
		if d <= 0 {
			w.patience = 1<<63 - 1
		}
	}
}

// Compress sets whether large batches are compressed with gzip. By default they
// are if the server is on another machine and is recent enough to accept it.
func Compress(yes bool) WriterOption { return func(w *writing) { w.compress = yes } }

// Writer returns a Writer for the log of key, whose stream must be open. When
// ctx ends, the Writer discards what it has not delivered: Close the Writer first
// to deliver everything.
func (c *Client) Writer(ctx context.Context, key logservice.Key, opts ...WriterOption) *Writer {
	w := &Writer{
		c: c, key: key,
		writing: writing{level: "info", memory: DefaultMemory, patience: DefaultWriterPatience, compress: !c.local},
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		changed: make(chan struct{}),
	}
	for _, o := range opts {
		o(&w.writing)
	}
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	go w.send()
	return w
}

// Write appends p as text. Each line of p, with its newline, is a line of the
// log; text after the last newline is sent when its line ends, or after 250 ms.
// Invalid UTF-8 becomes U+FFFD.
//
// Write does not wait for the network unless Memory is full; then it blocks until
// there is free space. It fails only once the Writer has failed (see Close) or
// is closed; n is the number of bytes accepted before that.
func (w *Writer) Write(p []byte) (n int, err error) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(p) > 0 {
		if err := w.reserve(); err != nil {
			return n, err
		}
		taken := w.take(p, now)
		n += taken
		p = p[taken:]
	}
	return n, nil
}

// WriteLine appends one line with its own level, time and arguments. Its Pos is
// assigned by the Writer; a zero Time is omitted. Text of more than 128 KiB is
// split into several lines. WriteLine blocks and fails like Write.
func (w *Writer) WriteLine(l logservice.Line) error {
	return w.writeRecord(l.Level, l.Time, l.Out, appendArgs(nil, l.Args))
}

// writeRecord appends a line whose arguments are already JSON.
func (w *Writer) writeRecord(level string, at time.Time, text string, args []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if err := w.reserve(); err != nil {
			return err
		}
		n := pieceOf(text)
		w.add(level, at, []byte(text[:n]), args)
		if text = text[n:]; text == "" {
			return nil
		}
	}
}

// reserve waits until a line may be added. The caller holds mu, which is released
// while waiting.
func (w *Writer) reserve() error {
	for {
		if w.err != nil {
			return w.err
		}
		if w.closed {
			return errClosed
		}
		if w.stats.Pending < w.memory {
			return nil
		}
		w.await(nil, nil)
	}
}

// Flush blocks until the server has acknowledged every line written before the
// call, including an unterminated one.
func (w *Writer) Flush(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutPartial(false)
	lines := w.stats.Lines
	w.flushTo = max(w.flushTo, lines)
	w.signal()
	for w.stats.Sent < lines && w.err == nil {
		if ctx.Err() != nil {
			return fmt.Errorf("flush %s: %w", w.key, context.Cause(ctx))
		}
		w.await(ctx.Done(), nil)
	}
	return w.err
}

// Close blocks until every line is acknowledged and ends the Writer. It gives up
// after a minute without an acknowledgement. The error says how many lines were
// lost over the Writer's life, and why. The stream remains open: Client.Close
// ends the log. Further calls return the same result.
func (w *Writer) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.closed = true
		w.cutPartial(true)
		w.signal()
	}
	for w.running() {
		limit := time.NewTimer(drainTime)
		w.await(nil, limit.C)
		if !limit.Stop() { // it has fired
			w.cancel(fmt.Errorf("%w: no line was acknowledged for %v", logservice.ErrUnavailable, drainTime))
		}
	}
	w.cancel(nil)
	if w.err == nil && w.stats.Lost > 0 {
		return fmt.Errorf("log %s: %d lines lost by the server after it had acknowledged them", w.key, w.stats.Lost)
	}
	return w.err
}

// await releases mu until lines are acknowledged, the sender has returned, or one
// of its arguments fires.
func (w *Writer) await(done <-chan struct{}, limit <-chan time.Time) {
	changed := w.changed
	w.mu.Unlock()
	defer w.mu.Lock()
	select {
	case <-changed:
	case <-w.done:
	case <-done:
	case <-limit:
	}
}

// errClosed is returned by writes to a closed Writer.
var errClosed = errors.New("log writer is closed")

func (w *Writer) running() bool {
	select {
	case <-w.done:
		return false
	default:
		return true
	}
}

// Stats returns what the Writer has done so far.
func (w *Writer) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.stats
}
