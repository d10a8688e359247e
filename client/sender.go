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

// minCompressBytes is where compressing a batch begins to pay: below it the
// headers of the request weigh as much.
const minCompressBytes = 4 << 10

// sender is what the goroutine of a Writer has for itself: it sends a batch,
// and the next one when that is acknowledged.
type sender struct {
	*Writer
	asked bool
	next  int64 // the sequence of the next line; zero from an older server
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

// deliver sends b until the server has it, or says that it will not.
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
		behind, ok := errors.AsType[*logservice.SequenceError](err)
		if !ok || behind.Expected >= offset {
			return err
		}
		// The server has lost lines that it had acknowledged, or the stream
		// was opened anew. What is left to say is what comes now.
		s.lostByServer(offset - behind.Expected)
		offset = behind.Expected
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
	if a.retry.Total > 0 {
		a.retry.Total = s.patience
	}
	a.onRetry = s.retried
	return s.c.append(s.ctx, &a, s.key, b)
}

// compressed returns data as gzip, in memory of its own: net/http may read a
// body after its request has failed.
func (s *sender) compressed(data []byte) []byte {
	s.buf.Reset()
	if s.zip == nil {
		s.zip, _ = gzip.NewWriterLevel(&s.buf, gzip.BestSpeed) // a valid level
	}
	s.zip.Reset(&s.buf)
	_, _ = s.zip.Write(data) // a bytes.Buffer takes everything
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

// fail ends the Writer with everything lost that is not acknowledged.
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
