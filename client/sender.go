package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client/internal/transport"
)

// minCompressBytes is the size from which compressing a batch pays off: below it,
// the request headers weigh as much.
const minCompressBytes = 4 << 10

// sender is the private state of a Writer's goroutine. It sends one batch at a
// time.
type sender struct {
	*Writer
	asked bool
	next  int64 // sequence of the next line; zero from an older server
	zip   *gzip.Writer
	buf   bytes.Buffer
}

// send delivers batches in order until the Writer is closed and empty, or has
// failed.
func (w *Writer) send() {
	defer close(w.done)
	defer w.closeSpill()
	var err error
	if w.open != nil {
		err = w.open(w)
	}
	if err != nil {
		w.fail(err)
		return
	}
	if p, ok := w.c.live.(transport.Pusher); ok {
		err = (&pipeline{Writer: w, pusher: p}).run()
	} else {
		err = (&sender{Writer: w}).run()
	}
	if err != nil {
		w.fail(err)
	}
}

func (s *sender) run() error {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		b, wait, finished := s.due(time.Now())
		if b != nil {
			if err := s.deliver(b); err != nil {
				return err
			}
			s.acknowledged(b)
			continue
		}
		if finished {
			return nil
		}
		timer.Reset(wait)
		select {
		case <-s.wake:
		case <-timer.C:
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
}

// deliver sends b until the server accepts it or rejects it for good.
func (s *sender) deliver(b *batch) error {
	if !s.asked {
		next, err := s.append([]byte("[]"), 0)
		if err != nil {
			return err
		}
		s.asked, s.next = true, next
	}
	offset := s.next
	if s.shared {
		offset = 0
	}
	next, err := s.append(b.data, offset)
	for err != nil {
		gap, ok := errors.AsType[*logservice.SequenceError](err)
		if !ok || gap.Expected >= offset {
			return err
		}
		// The server has lost acknowledged lines, or the stream was reopened.
		// Nothing can be resent; continue with new lines.
		s.serverLost(offset - gap.Expected)
		offset = gap.Expected
		next, err = s.append(b.data, offset)
	}
	if offset > 0 && next != offset+b.lines {
		return fmt.Errorf("%w: the log has %d lines instead of %d: others write to it, and each needs Shared",
			logservice.ErrConflict, next-1, offset+b.lines-1)
	}
	s.next = next
	return nil
}

func (s *sender) append(data []byte, offset int64) (next int64, err error) {
	b := transport.Batch{ContentType: JSON, Data: data, Offset: offset}
	if s.compress && s.next > 0 && len(data) >= minCompressBytes {
		b.Data, b.Encoding = s.compressed(data), "gzip"
	}
	a, err := s.patient("append to")
	if err != nil {
		return 0, err
	}
	return s.c.append(s.ctx, &a, s.key, b)
}

// patient returns the attempts of a call that is retried as long as the Writer
// tries.
func (w *Writer) patient(what string) (attempts, error) {
	a, err := w.c.about(what, w.key)
	a.retry = a.retry.within(w.patience)
	a.onRetry = w.retried
	return a, err
}

func (w *Writer) openStream(opts []OpenOption) error {
	a, err := w.patient("open")
	if err != nil {
		return err
	}
	if err := w.c.open(w.ctx, &a, w.key, opts); err != nil {
		return err
	}
	w.reached()
	return nil
}

// compressed returns data as gzip, in newly allocated memory: net/http may read a
// body after its request has failed.
func (s *sender) compressed(data []byte) []byte {
	s.buf.Reset()
	if s.zip == nil {
		s.zip, _ = gzip.NewWriterLevel(&s.buf, gzip.BestSpeed) // the level is valid
	}
	s.zip.Reset(&s.buf)
	_, _ = s.zip.Write(data) // a bytes.Buffer never fails
	_ = s.zip.Close()
	return bytes.Clone(s.buf.Bytes())
}

func (w *Writer) reached() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Reached = true
}

func (w *Writer) retried() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Retries++
}

func (w *Writer) serverLost(lines int64) {
	w.c.log.Warn("log service has lost lines that it had acknowledged", "key", w.key, "lines", lines)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lostByServer += lines
}

func (w *Writer) acknowledged(b *batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Reached = true
	w.stats.Sent += b.lines
	w.acked += b.text
	w.stats.Pending -= int64(len(b.data))
	w.broadcast()
}

func (w *Writer) broadcast() {
	close(w.changed)
	w.changed = make(chan struct{})
}

// fail ends the Writer and counts every unacknowledged line as lost.
func (w *Writer) fail(cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failed = cause
	for _, t := range w.texts {
		t.end()
	}
	w.stats.Lost = w.stats.Lines - w.stats.Sent
	w.stats.LostBytes = w.stats.Bytes - w.acked
	w.stats.Pending, w.stats.Spilled = 0, 0
	w.batch, w.full = nil, nil
	w.c.log.Warn("log writer has failed", "key", w.key, "lost", w.stats.Lost, "error", cause)
	w.broadcast()
}

func (w *Writer) closeSpill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.spill.close()
}
