package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// body is the body of a call. If it can be rewound, it is sent on every attempt;
// if not, it is sent once, or until its first byte has been read. A nil body
// means that the call has none.
type body struct {
	data  []byte    // sent unchanged if src is nil
	src   io.Reader // read from its current offset
	seek  io.Seeker // src, if it can be rewound
	start int64     // initial offset of src
	size  int64     // number of bytes to send; -1 if unknown

	last *bodyReader // of the last attempt
}

func bodyOf(data []byte) *body { return &body{data: data, size: int64(len(data))} }

// bodyFrom sends r from its current offset. The size is known only if r can seek
// to its end.
func bodyFrom(r io.Reader) *body {
	b := &body{src: r, size: -1}
	s, ok := r.(io.Seeker)
	if !ok {
		return b
	}
	start, err := s.Seek(0, io.SeekCurrent)
	if err != nil { // pipes implement Seek but fail
		return b
	}
	end, err := s.Seek(0, io.SeekEnd)
	if err != nil {
		return b
	}
	if _, err := s.Seek(start, io.SeekStart); err != nil {
		return b
	}
	b.seek, b.start = s, start
	if end > start { // files under /proc report size 0 but have content
		b.size = end - start
	}
	return b
}

// attach makes b the body of one attempt.
func (b *body) attach(req *http.Request, g *guard) {
	if b == nil {
		return
	}
	src := b.src
	if src == nil {
		src = bytes.NewReader(b.data)
		req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.data)), nil }
	}
	b.last = &bodyReader{src: src, guard: g}
	req.Body = b.last
	req.ContentLength = b.size
	if b.size == 0 {
		req.Body = http.NoBody
	}
}

// rewind prepares the next attempt and reports whether one is possible.
func (b *body) rewind() bool {
	if b == nil || b.src == nil || b.last == nil {
		return true
	}
	if b.seek == nil {
		return !b.last.taken()
	}
	// The transport may still be reading for the failed attempt.
	b.last.mu.Lock()
	defer b.last.mu.Unlock()
	b.last.closed = true
	_, err := b.seek.Seek(b.start, io.SeekStart)
	return err == nil
}

// failure returns the error of the caller's reader, if that error ended the
// attempt.
func (b *body) failure() error {
	if b == nil || b.src == nil || b.last == nil || !b.last.mu.TryLock() {
		return nil // still being read, so it did not fail
	}
	defer b.last.mu.Unlock()
	return b.last.err
}

// bodyReader is the body of one attempt. It arms the guard only while the server
// is not reading: time spent in src does not count as a stall.
type bodyReader struct {
	guard *guard

	mu     sync.Mutex // held while src is read; guards the fields below
	src    io.Reader
	read   bool
	closed bool
	err    error
}

func (r *bodyReader) Read(p []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return 0, io.ErrClosedPipe
	}
	r.guard.disarm()
	n, err := r.src.Read(p)
	r.guard.arm()
	r.read = true
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// Close does not close src, which belongs to the caller.
func (r *bodyReader) Close() error { return nil }

func (r *bodyReader) taken() bool {
	if !r.mu.TryLock() {
		return true
	}
	defer r.mu.Unlock()
	if !r.read {
		r.closed = true // permanently: the next attempt reads src
	}
	return r.read
}

// guard calls a function when it has been armed for too long.
type guard struct {
	after time.Duration

	mu      sync.Mutex // guards the fields below
	timer   *time.Timer
	stopped bool
}

func newGuard(after time.Duration, f func()) *guard {
	g := &guard{after: after, timer: time.AfterFunc(after, f)}
	g.timer.Stop()
	return g
}

func (g *guard) arm() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.stopped {
		g.timer.Reset(g.after)
	}
}

func (g *guard) disarm() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.timer.Stop()
}

// stop disarms g for good.
func (g *guard) stop() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.stopped = true
	g.timer.Stop()
}

// guardedBody is a response body whose reads fail when the server sends nothing
// for too long. Time between reads does not count.
type guardedBody struct {
	body   io.ReadCloser
	ctx    context.Context // of the attempt
	cancel context.CancelCauseFunc
	guard  *guard
}

func (b *guardedBody) Read(p []byte) (int, error) {
	b.guard.arm()
	n, err := b.body.Read(p)
	b.guard.disarm()
	if err != nil && !errors.Is(err, io.EOF) {
		if cause := context.Cause(b.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}

func (b *guardedBody) Close() error {
	b.guard.stop()
	b.cancel(nil)
	return b.body.Close()
}

// maxDrainBytes limits how much of an unwanted response is read so that its
// connection can be reused.
const maxDrainBytes = 64 << 10

func drain(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrainBytes)
	_ = resp.Body.Close()
}
