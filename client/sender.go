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
	var err error
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
		s.lostByServer(offset - gap.Expected)
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
	a, err := s.c.about("append to", s.key)
	if err != nil {
		return 0, err
	}
	a.retry = a.retry.within(s.patience)
	a.onRetry = s.retried
	return s.c.append(s.ctx, &a, s.key, b)
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

func (w *Writer) retried() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Retries++
}

func (w *Writer) lostByServer(lines int64) {
	w.c.log.Warn("log service has lost lines that it had acknowledged", "key", w.key, "lines", lines)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Lost += lines
}

func (w *Writer) acknowledged(b *batch) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stats.Sent += b.lines
	w.stats.Pending -= int64(len(b.data) - len("]"))
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
	w.cutPartial(true)
	lost := w.stats.Lines - w.stats.Sent
	w.stats.Lost += lost
	w.stats.Pending = 0
	w.batch, w.full = nil, nil
	w.err = fmt.Errorf("log writer of %s: %d lines not delivered: %w", w.key, lost, cause)
	w.c.log.Warn("log writer has failed", "key", w.key, "lost", lost, "error", cause)
	w.broadcast()
}
