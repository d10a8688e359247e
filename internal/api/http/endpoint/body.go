package endpoint

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api/admission"
	"github.com/harness/log-service/internal/auth"
)

const (
	// firstRead is the buffer of a body before any of it has arrived: usual
	// batches fit, and a thousand clients that send nothing hold 64 MB.
	firstRead = 64<<10 - 1
	// trustedLength is the largest Content-Length for which a buffer is
	// allocated once the first part has arrived; buffers of larger bodies grow
	// step by step.
	trustedLength = 1 << 20
)

// bodies reads the bodies of appends under a budget.
type bodies struct {
	max    int64
	budget *admission.Budget
	stall  time.Duration

	decoders decoders
	buffers  admission.Buffers
}

func newBodies(limit, budget int64, stall time.Duration) *bodies {
	// While the largest body grows, it is held twice, in addition to its
	// decoder.
	budget = max(budget, 3*limit, 2*zstdWindow)
	return &bodies{max: limit, budget: admission.NewBudget(budget), stall: stall}
}

// body is a body in memory. release must be called once nothing refers to it.
type body struct {
	data    []byte // with a spare byte of capacity
	account string // to whose share of the budget it counts
	held    int64
	from    *bodies
}

func (b *body) release() {
	if b.held > 0 {
		b.from.budget.Put(b.account, b.held)
		b.held = 0
	}
	b.from.buffers.Put(b.data)
	b.data = nil
}

// hold reserves n bytes of the budget, with a short wait.
func (b *body) hold(ctx context.Context, n int64) error {
	if err := b.from.budget.Take(ctx, b.account, n); err != nil {
		return err
	}
	b.held += n
	return nil
}

// read reads and decodes the body of c, whole, for account.
func (s *bodies) read(c *Call, account string) (b body, err error) {
	b = body{from: s, account: account}
	size := c.Request.ContentLength
	if size == 0 {
		return b, nil
	}
	if size > s.max {
		return b, s.tooLarge()
	}
	defer func() {
		if c.took = err == nil; err != nil {
			b.release()
		}
	}()
	rc := http.NewResponseController(c.ResponseWriter)
	s.extend(rc)
	encoding, err := encodingOf(c.Request)
	if err != nil {
		return b, err
	}
	if encoding == identity {
		return b, b.fill(c.Request.Context(), rc, c.Request.Body, size)
	}
	if encoding == zstdEncoded {
		if err := b.hold(c.Request.Context(), zstdWindow); err != nil {
			return b, err
		}
	}
	r, err := s.decoders.open(encoding, c.Request.Body)
	if err != nil {
		r.Close()
		return b, connectionError(err)
	}
	defer r.Close()
	return b, b.fill(c.Request.Context(), rc, r, -1)
}

// fill reads r to its end. size is its exact length, or negative.
func (b *body) fill(ctx context.Context, rc *http.ResponseController, r io.Reader, size int64) error {
	first := int64(firstRead)
	if size >= 0 {
		first = min(size, first)
	}
	if err := b.grow(ctx, first); err != nil {
		return err
	}
	for {
		free := b.data[len(b.data) : cap(b.data)-1]
		if len(free) == 0 {
			b.from.extend(rc)
			if int64(len(b.data)) == size {
				return nil
			}
			if err := b.grow(ctx, nextSize(int64(len(b.data)), size, b.from.max)); err != nil {
				return err
			}
			continue
		}
		n, err := r.Read(free)
		b.data = b.data[:len(b.data)+n]
		switch {
		case int64(len(b.data)) > b.from.max:
			return b.from.tooLarge()
		case int64(len(b.data)) == size:
			return nil
		case errors.Is(err, io.EOF):
			if size >= 0 {
				return io.ErrUnexpectedEOF
			}
			return nil
		case err != nil:
			return connectionError(err)
		}
	}
}

// nextSize is the next capacity of a body of which n bytes have arrived.
func nextSize(n, size, most int64) int64 {
	switch {
	case size >= 0 && size <= trustedLength:
		return size
	case size >= 0:
		return min(2*n, size)
	}
	// One byte more than permitted, to detect that it is too large.
	return min(2*n, most+1)
}

// grow adds capacity for n bytes and the spare one.
func (b *body) grow(ctx context.Context, n int64) error {
	size := admission.BufferSize(n + 1)
	if err := b.hold(ctx, size); err != nil {
		return err
	}
	old := b.data
	b.data = append(b.from.buffers.Get(size), old...)
	if n := int64(cap(old)); n > 0 {
		b.from.budget.Put(b.account, n)
		b.held -= n
	}
	b.from.buffers.Put(old)
	return nil
}

// extend gives the peer another stall time to send something. A writer that is
// not a connection has no deadlines.
func (s *bodies) extend(rc *http.ResponseController) {
	_ = rc.SetReadDeadline(time.Now().Add(s.stall))
}

func (s *bodies) tooLarge() error {
	return logservice.Errorf(logservice.ErrTooLarge, "body too large: at most %d bytes, decompressed: send smaller batches", s.max)
}

// steady reads at the peer's pace until the peer stalls.
type steady struct {
	r     io.Reader
	rc    *http.ResponseController
	stall time.Duration

	revoked atomic.Bool
}

// revoke ends reading: the token of the request counts no more.
func (s *steady) revoke() {
	s.revoked.Store(true)
	_ = s.rc.SetReadDeadline(time.Now())
}

func (s *steady) Read(p []byte) (int, error) {
	_ = s.rc.SetReadDeadline(time.Now().Add(s.stall))
	if s.revoked.Load() { // after the deadline that revoke may have set before
		return 0, auth.ErrRevoked
	}
	n, err := s.r.Read(p)
	if err == io.EOF {
		_ = s.rc.SetReadDeadline(time.Time{}) // net/http now waits for the peer to hang up
	}
	if s.revoked.Load() && err != nil {
		err = auth.ErrRevoked
	}
	return n, connectionError(err)
}
