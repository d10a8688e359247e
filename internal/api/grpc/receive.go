package grpcapi

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"google.golang.org/grpc/peer"

	"github.com/harness/log-service/internal/api/admission"
)

const (
	// freeBytes is how much of each connection may be received and not taken by
	// a handler yet; more counts against the budget, in steps of stepBytes.
	freeBytes = 64 << 10
	stepBytes = 256 << 10
	// besideMessage is what a connection receives in addition to a message: frame
	// headers, window updates and pings. besideCall is for the headers of a call.
	besideMessage, besideCall = 64, 1 << 10
)

// receiver is a connection. gRPC buffers what a peer sends until a message is
// complete and its handler takes it: up to the largest message for each call of each
// connection. A receiver counts that, and stops reading while the share of its
// account is used up.
type receiver struct {
	net.Conn
	budget *admission.Budget
	stall  time.Duration

	mu      sync.Mutex // guards what follows
	account string     // of the latest call
	calls   int        // in progress
	public  int        // of them, without a token
	pending int64      // received, and not taken
	held    int64      // of the budget, by account holder
	holder  string
	watch   *time.Timer // runs while something is held
	since   time.Time   // when a message was taken, or another step received
	closed  bool
}

// receivers makes a receiver of each connection that l accepts.
type receivers struct {
	net.Listener
	s *Server
}

// Accept implements net.Listener.
func (l receivers) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &receiver{Conn: c, budget: l.s.receiving, stall: l.s.stall}, nil
}

// address is how the context of a call refers to its connection.
type address struct {
	net.Addr
	r *receiver
}

// RemoteAddr implements net.Conn.
func (r *receiver) RemoteAddr() net.Addr { return address{r.Conn.RemoteAddr(), r} }

func receiverOf(ctx context.Context) *receiver {
	if p, ok := peer.FromContext(ctx); ok {
		if a, ok := p.Addr.(address); ok {
			return a.r
		}
	}
	return nil
}

// Read implements net.Conn.
func (r *receiver) Read(b []byte) (int, error) {
	n, err := r.Conn.Read(b)
	r.mu.Lock()
	if r.calls == 0 { // gRPC buffers only what begins a call
		r.pending = 0
	}
	r.pending += int64(n)
	needs := steps(r.pending) - r.held
	if needs > 0 && r.budget.Try(r.payer(), needs) {
		r.hold(needs)
		needs = 0
	}
	r.mu.Unlock()
	if needs > 0 && err == nil {
		err = r.reserve(needs)
	}
	return n, err
}

// payer returns the account that what is held counts against. The caller holds mu.
func (r *receiver) payer() string {
	if r.held == 0 {
		r.holder = r.account
	}
	return r.holder
}

// hold adds n bytes of the budget. The caller holds mu.
func (r *receiver) hold(n int64) {
	r.held, r.since = r.held+n, time.Now()
	if r.watch == nil {
		r.watch = time.AfterFunc(r.stall, r.check)
	}
}

// steps returns how much of the budget pending bytes need.
func steps(pending int64) int64 {
	if pending <= freeBytes {
		return 0
	}
	return (pending - freeBytes + stepBytes - 1) / stepBytes * stepBytes
}

// reserve waits for n bytes of the budget, for at most the stall time.
func (r *receiver) reserve(n int64) error {
	r.mu.Lock()
	account := r.payer()
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), r.stall)
	defer cancel()
	for r.budget.Take(ctx, account, n) != nil {
		if r.isClosed() || ctx.Err() != nil {
			_ = r.Close()
			return errors.New("no memory left for messages")
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || account != r.payer() {
		r.budget.Put(account, n)
		return net.ErrClosed
	}
	r.hold(n)
	r.release() // what was taken in the meantime
	return nil
}

func (r *receiver) isClosed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

// check closes a connection that holds part of the budget if no message was taken
// and little was received for the stall time.
func (r *receiver) check() {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch left := r.stall - time.Since(r.since); {
	case r.closed || r.pending <= freeBytes:
		r.watch = nil
		r.giveBack(r.held)
	case left > 0:
		r.watch.Reset(left)
	default:
		r.watch = nil
		_ = r.Conn.Close() // Read and Close do the rest
	}
}

// took counts a message that a handler has taken.
func (r *receiver) took(n int64) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.pending = max(0, r.pending-n-n/1024-besideMessage)
	r.since = time.Now()
	r.release()
}

// begin counts a call. What is received from then on counts against its account.
func (r *receiver) begin(account string) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	r.account = account
	r.pending = max(0, r.pending-besideCall)
}

// end counts the end of a call. After the last one gRPC buffers nothing.
func (r *receiver) end() {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.calls--; r.calls == 0 {
		r.pending = 0
	}
	r.release()
}

// addPublic counts public calls.
func (r *receiver) addPublic(n int) int {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.public += n
	return r.public
}

// release returns what is held beyond need, except for one step: a connection
// that is in use will need it. The caller holds mu.
func (r *receiver) release() {
	if n := r.held - steps(r.pending); n > stepBytes || n > 0 && r.calls == 0 {
		r.giveBack(n)
	}
}

func (r *receiver) giveBack(n int64) {
	if n > 0 {
		r.held -= n
		r.budget.Put(r.holder, n)
	}
}

// Close implements net.Conn.
func (r *receiver) Close() error {
	r.mu.Lock()
	r.closed, r.pending = true, 0
	r.giveBack(r.held)
	if r.watch != nil {
		r.watch.Stop()
	}
	r.mu.Unlock()
	return r.Conn.Close()
}
