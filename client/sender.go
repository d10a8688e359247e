package client

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"time"

	logservice "github.com/harness/log-service"
)

// minCompressBytes is where compressing a batch begins to pay: below it the
// headers of the request weigh as much.
const minCompressBytes = 4 << 10

// sender is what the goroutine of a Writer has for itself.
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
	s := &sender{Writer: w}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		b, wait, finished := w.due(time.Now())
		if b != nil {
			if err := s.deliver(b); err != nil {
				w.fail(err)
				return
			}
			w.acknowledged(b)
			continue
		}
		if finished {
			return
		}
		timer.Reset(wait)
		select {
		case <-w.wake:
		case <-timer.C:
		case <-w.ctx.Done():
			w.fail(context.Cause(w.ctx))
			return
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
	var opts []AppendOption
	if offset > 0 {
		opts = append(opts, Offset(offset))
	}
	if s.compress && s.next > 0 && len(data) >= minCompressBytes {
		data = s.compressed(data)
		opts = append(opts, Encoded("gzip"))
	}
	k, err := s.c.appendCall(s.key, JSON, data, opts)
	if err != nil {
		return 0, err
	}
	if k.retry.Total > 0 {
		k.retry.Total = s.patience
	}
	k.onRetry = s.retried
	return s.c.run(s.ctx, k)
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
