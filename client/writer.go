package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
)

// Writer is an io.WriteCloser that appends what is written to one log, in order,
// from its own goroutine. Its methods are safe for concurrent use. Create one
// with Client.Writer, and Close it when done.
//
// Batches are retried until the server has them. Each batch carries its offset in
// the log, so it is never stored twice. What the server has not taken yet is held in
// memory, and beyond a limit in a temporary file. Lines that could not be delivered
// are counted in Stats and reported by Close.
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
	hide *secrets // nil if nothing is masked

	ctx    context.Context
	cancel context.CancelCauseFunc
	wake   chan struct{} // of capacity 1: wakes the sender
	done   chan struct{} // closed when the sender has returned

	mu      sync.Mutex    // guards the fields below; never held while the server is waited for
	main    *text         // what Write appends to
	begun   *text         // whose line has not ended: the last piece is of it; or nil
	texts   []*text       // main and those of Stream
	batch   *batch        // being filled; nil if empty
	full    []*batch      // waiting to be sent
	spill   spill         // those of full without data
	pos     int64         // of the next line
	stats   Stats         // Lost does not include lostByServer
	gap     gap           // lost since the last line that was accepted
	unread  int64         // lines lost after they were accepted
	acked   int64         // bytes of text acknowledged
	flushTo int64         // what settled must reach for a Flush
	changed chan struct{} // closed and replaced whenever lines are acknowledged or lost
	closed  bool          // no more lines are accepted
	failed  error         // why the Writer has failed; set once, before done

	lostByServer int64 // lines that had been acknowledged
}

type gap struct{ lines, bytes int64 }

// Stats counts what a Writer has done. Lines - Sent - Lost are still held.
type Stats struct {
	Lines   int64 // written; a long or partial line counts once per piece sent
	Bytes   int64 // of text written
	Sent    int64 // lines acknowledged by the server
	Retries int64 // requests that were retried
	// Lost counts lines that could not be delivered, and lines that the server
	// lost after it had acknowledged them.
	Lost int64
	// LostBytes is the text of the lines that could not be delivered.
	LostBytes int64
	// Pending is the number of bytes of JSON held in memory, Spilled of those in
	// the temporary file.
	Pending, Spilled int64
	// Reached reports whether the server has accepted anything yet: the opening of
	// the stream, or a batch.
	Reached bool
}

// LostError reports lines that a Writer could not deliver.
type LostError struct {
	Key          logservice.Key
	Lines, Bytes int64
	Err          error // why
}

func (e *LostError) Error() string {
	return fmt.Sprintf("log writer of %s: %d lines (%d bytes) not delivered: %v", e.Key, e.Lines, e.Bytes, e.Err)
}
func (e *LostError) Unwrap() error { return e.Err }

var (
	// errClosed is returned by writes to a closed Writer.
	errClosed = errors.New("log writer is closed")
	errFull   = errors.New("the writer's memory and its temporary file were full")
)

// Writer returns a Writer for the log of key, whose stream must be open unless
// AutoOpen is given. When ctx ends, the Writer discards what it has not delivered:
// Close the Writer first to deliver everything.
func (c *Client) Writer(ctx context.Context, key logservice.Key, opts ...WriterOption) *Writer {
	w := &Writer{
		c: c, key: key,
		writing: writing{level: "info", memory: DefaultMemory, spillLimit: DefaultSpill, compress: !c.local},
		wake:    make(chan struct{}, 1),
		done:    make(chan struct{}),
		changed: make(chan struct{}),
	}
	for _, o := range opts {
		o(&w.writing)
	}
	if w.patience == 0 {
		w.patience = DefaultWriterPatience
		if w.bestEffort {
			w.patience = math.MaxInt64
		}
	}
	w.hide = newSecrets(w.secrets)
	w.spill = spill{dir: w.spillDir, limit: w.spillLimit}
	w.main = w.newText()
	w.ctx, w.cancel = context.WithCancelCause(ctx)
	go w.send()
	return w
}

// Write appends p as text. Each line of p, with its newline, is a line of the
// log; text after the last newline is sent when its line ends, or after 250 ms as a
// piece of it, marked "partial". Invalid UTF-8 becomes U+FFFD.
//
// Write does not wait for the network unless memory and temporary file are full;
// then it blocks until there is free space. It fails only once the Writer has failed
// (see Close) or is closed; n is the number of bytes accepted before that. With
// BestEffort it neither blocks nor fails until the Writer is closed.
func (w *Writer) Write(p []byte) (n int, err error) { return w.main.Write(p) }

// Stream returns another writer of text to the same log. Its unterminated line is
// its own, so that two streams, such as the standard output and the standard error
// of a command, do not mix within a line. Closing it ends its last line; closing w
// closes it too.
func (w *Writer) Stream() io.WriteCloser {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.newText()
}

func (w *Writer) newText() *text {
	t := &text{w: w}
	if w.hide != nil {
		t.mask = &masker{secrets: w.hide}
	}
	w.texts = append(w.texts, t)
	return t
}

// remove ends t, once.
func (w *Writer) remove(t *text) {
	if i := slices.Index(w.texts, t); i >= 0 && w.failed == nil && !w.closed {
		t.end()
		w.texts = slices.Delete(w.texts, i, i+1)
	}
}

// WriteLine appends one line with its own level, time and arguments. Its Pos is
// assigned by the Writer; a zero Time is omitted. Text of more than 128 KiB is
// split into pieces. WriteLine blocks and fails like Write.
func (w *Writer) WriteLine(l logservice.Line) error {
	args := l.Args
	if w.hide != nil && len(args) > 0 {
		args = make(map[string]string, len(l.Args))
		for name, value := range l.Args {
			args[name] = w.hide.in(value)
		}
	}
	return w.writeRecord(l.Level, l.Time, l.Out, appendArgs(nil, args))
}

// writeRecord appends a line whose arguments are JSON, and masked.
func (w *Writer) writeRecord(level string, at time.Time, out string, args []byte) error {
	out = w.hide.in(out)
	w.mu.Lock()
	defer w.mu.Unlock()
	record := &text{w: w}
	for {
		if err := w.reserve(); err != nil {
			return err
		}
		n := pieceOf(out)
		w.add(piece{level: level, at: at, text: []byte(out[:n]), args: args, partial: n < len(out), from: record})
		if out = out[n:]; out == "" {
			return nil
		}
	}
}

// reserve waits until a line may be added. The caller holds mu, which is released
// while waiting.
func (w *Writer) reserve() error {
	for {
		switch {
		case w.closed:
			return errClosed
		case w.bestEffort:
			return nil // add counts what it cannot hold
		case w.failed != nil:
			return w.failure()
		case w.hasRoom():
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
	for _, t := range w.texts {
		t.cut()
	}
	// The lines that were accepted: lost ones of these are counted in unread.
	accepted := w.stats.Lines - w.stats.Lost + w.unread
	w.flushTo = max(w.flushTo, accepted)
	w.signal()
	for w.settled() < accepted && w.failed == nil {
		if ctx.Err() != nil {
			return fmt.Errorf("flush %s: %w", w.key, context.Cause(ctx))
		}
		w.await(ctx.Done(), nil)
	}
	if w.failed != nil {
		return w.failure()
	}
	return nil
}

// settled is the number of accepted lines that no longer wait.
func (w *Writer) settled() int64 { return w.stats.Sent + w.unread }

// Close blocks until every line is acknowledged and ends the Writer. It gives up
// after 90 seconds without an acknowledgement. The error is a *LostError with the
// number of lines that could not be delivered over the Writer's life, and the
// reason. The stream remains open: Client.Close ends the log. Further calls return
// the same result.
func (w *Writer) Close() error { return w.CloseContext(context.Background()) }

// CloseContext is Close with another limit: it gives up when ctx ends. If ctx has no
// deadline, it also does after 90 seconds without an acknowledgement.
func (w *Writer) CloseContext(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.closed {
		w.end()
	}
	_, limited := ctx.Deadline()
	for w.running() {
		var late <-chan time.Time
		limit := time.NewTimer(drainTime)
		if !limited {
			late = limit.C
		}
		w.await(ctx.Done(), late)
		switch {
		case ctx.Err() != nil:
			w.cancel(context.Cause(ctx))
			w.await(nil, nil) // the sender ends now
		case !limit.Stop() && !limited: // it has fired
			w.cancel(fmt.Errorf("%w: no line was acknowledged for %v", logservice.ErrUnavailable, drainTime))
		}
	}
	w.cancel(nil)
	switch {
	case w.stats.Lost > 0 || w.failed != nil:
		return w.failure()
	case w.lostByServer > 0:
		return fmt.Errorf("log %s: %d lines lost by the server after it had acknowledged them", w.key, w.lostByServer)
	}
	return nil
}

// end accepts no more lines, and hands those that are kept back to the sender.
func (w *Writer) end() {
	for _, t := range w.texts {
		t.end()
	}
	if w.gap.lines > 0 && w.batch == nil && w.failed == nil {
		w.begin() // the log says what it lacks
	}
	w.closed = true
	w.signal()
}

// failure describes what was not delivered.
func (w *Writer) failure() error {
	e := &LostError{Key: w.key, Lines: w.stats.Lost, Bytes: w.stats.LostBytes, Err: w.failed}
	if e.Err == nil {
		e.Err = errFull
	}
	return e
}

// await releases mu until lines are acknowledged or lost, the sender has returned,
// or one of its arguments fires.
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
	s := w.stats
	s.Lost += w.lostByServer
	return s
}
