package client

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
)

// The limits of a Writer.
const (
	// DefaultMemory is how much a Writer holds that is not acknowledged yet,
	// in bytes of JSON: some 100,000 lines, which is minutes of a busy build.
	DefaultMemory = 16 << 20
	// DefaultWriterPatience is how long a Writer tries to deliver a batch:
	// long enough for a server to be moved.
	DefaultWriterPatience = 10 * time.Minute
	// partialAfter is when text without a line's end is sent as it is, so
	// that prompts show.
	partialAfter = 250 * time.Millisecond
	// linger is how long a line waits for others to share its request. People
	// do not notice it, and a chatty program costs ten requests a second.
	linger = 100 * time.Millisecond
	// maxPieceBytes is where a longer line is cut into several, none of which
	// ends in \n but the last. A byte may take six in JSON, so that a piece
	// always stays below the server's limit of a line.
	maxPieceBytes = 128 << 10
	// drainTime is how long Close waits while nothing is acknowledged.
	drainTime = time.Minute
)

// Writer sends what is written to it as lines of one log, in order, from one
// goroutine of its own. Its methods may be called from any number of
// goroutines. Make one with Client.Writer, and Close it.
//
// A batch is repeated until the server has it, and because it says which
// sequence it starts at, it is never stored twice. What could not be delivered
// is counted in Stats and reported by Close.
//
// So one Writer owns its log while it writes. The server takes lines that
// somebody else appended meanwhile for lines of this Writer that it has
// already: it may leave out as many of the Writer's own. The Writer fails with
// logservice.ErrConflict where it can tell, which is not always. Where
// several programs write to one log, each needs Shared.
type Writer struct {
	c   *Client
	key logservice.Key
	writing

	ctx    context.Context
	cancel context.CancelCauseFunc
	wake   chan struct{} // of capacity 1: the sender has something to look at
	done   chan struct{} // closed when the sender has returned

	mu      sync.Mutex // guards the fields below; never held during I/O
	partial []byte     // text after the last end of a line
	since   time.Time  // when partial began
	batch   *batch     // being filled; nil when empty
	full    []*batch   // waiting to be sent
	pos     int64      // of the next line
	stats   Stats
	flushTo int64         // lines that somebody waits for
	changed chan struct{} // closed and replaced whenever lines are acknowledged
	closed  bool          // nothing more is taken
	err     error         // why the Writer has failed; set once, before done
}

// Stats counts what a Writer has done. Lines - Sent - Lost are on their way.
type Stats struct {
	Lines   int64 // taken; a long or partial line counts as the pieces it is sent in
	Bytes   int64 // of their text
	Sent    int64 // lines that the server has acknowledged
	Retries int64 // requests that were repeated
	// Lost counts lines that could not be delivered, and those that the
	// server had acknowledged and lost since.
	Lost int64
	// Pending is how many bytes of JSON are held in memory.
	Pending int64
}

// WriterOption changes how Client.Writer makes a Writer.
type WriterOption func(*writing)

// writing is what options say.
type writing struct {
	level    string
	shared   bool
	memory   int64
	patience time.Duration
	compress bool
}

// Level is the level of the lines that Write makes; "info" without it.
func Level(name string) WriterOption { return func(w *writing) { w.level = name } }

// Shared lets others write to the log at the same time. Batches then say no
// sequence, and a repeated one is recognised by the position and time of its
// lines, for as long as it is among the last batches of the log.
func Shared() WriterOption { return func(w *writing) { w.shared = true } }

// Memory is how many bytes of JSON are held at most before Write waits;
// DefaultMemory without it.
func Memory(bytes int64) WriterOption { return func(w *writing) { w.memory = bytes } }

// WriterPatience is how long delivering a batch is tried before the Writer
// gives up; zero tries until its context ends. DefaultWriterPatience without
// it.
func WriterPatience(d time.Duration) WriterOption {
	return func(w *writing) {
		w.patience = d
		if d <= 0 {
			w.patience = 1<<63 - 1
		}
	}
}

// Compress says whether large batches are sent with gzip. Without it they are
// when the server is on another machine and not an older one, which could
// not read them.
func Compress(yes bool) WriterOption { return func(w *writing) { w.compress = yes } }

// Writer returns a Writer of the log of key, whose stream must be open. When
// ctx ends, the Writer gives up what it has not delivered: to deliver it
// first, Close the Writer before.
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

// Write takes p as text: each line is a line of the log, with its end; text
// behind the last end is sent when its line ends or after 250 ms. Bytes that
// are not UTF-8 become U+FFFD.
//
// It does not wait for the network, except when Memory is full: then it waits
// for room. The error, once there is one, is why the Writer has failed (see
// Close); n is how much of p was taken before.
func (w *Writer) Write(p []byte) (n int, err error) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(p) > 0 {
		if err := w.room(); err != nil {
			return n, err
		}
		taken := w.take(p, now)
		n += taken
		p = p[taken:]
	}
	return n, nil
}

// WriteLine takes one line with its own level, time and arguments; its Pos is
// that of the Writer, a zero Time stays absent. Text of more than 128 KiB is
// sent as several lines. It waits and fails like Write.
func (w *Writer) WriteLine(l logservice.Line) error {
	return w.writeRecord(l.Level, l.Time, l.Out, appendArgs(nil, l.Args))
}

// writeRecord takes a line whose arguments are JSON already.
func (w *Writer) writeRecord(level string, at time.Time, text string, args []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		if err := w.room(); err != nil {
			return err
		}
		n := pieceOf(text)
		w.add(level, at, []byte(text[:n]), args)
		if text = text[n:]; text == "" {
			return nil
		}
	}
}

// room waits until a line may be taken. It is called with mu held, and
// returns with it held; others may have written meanwhile.
func (w *Writer) room() error {
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

// Flush returns nil when the server has acknowledged every line written
// before, including one that has not ended.
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

// Close waits until every line is acknowledged, at most a minute during which
// the server takes none, and ends the Writer. The error tells how many lines
// were lost since the beginning, and why. The stream stays open: Client.Close
// ends the log. Closing again returns the same.
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

// await lets go of mu until lines were acknowledged, the sender has returned,
// or one of its arguments says so.
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

// errClosed is what writing to a closed Writer answers.
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
