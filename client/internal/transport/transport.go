// Package transport is what package client asks of a protocol for live logs:
// HTTP, which it has itself, or gRPC, which is in package client/rpc so that
// programs without it stay small.
package transport

import (
	"context"
	"crypto/tls"
	"time"
)

// Transport carries calls to one server, on behalf of one account. Every
// method makes one attempt: repeating is package client's. Errors are
// *Refusal, *Unreachable, the context's, or of package client itself.
// Methods may be called from any number of goroutines.
type Transport interface {
	Open(ctx context.Context, key string, o Open) error
	Append(ctx context.Context, key string, b Batch) (next int64, err error)
	Close(ctx context.Context, key string, o Close) error
	List(ctx context.Context, prefix string) (Listing, error)
	// Tail returns once the server has answered.
	Tail(ctx context.Context, key string, after int64) (Reader, error)
	// CloseIdle closes connections that no call uses.
	CloseIdle()
}

// Pusher is a Transport that keeps several batches on their way.
type Pusher interface {
	// Push begins a call that ends with ctx. Compressing is the transport's.
	Push(ctx context.Context, key string, compress bool) (Push, error)
}

// Push appends batch after batch to one log. Send and Recv may be called by
// one goroutine each, at the same time.
type Push interface {
	// Send sends a batch whose first line shall get the sequence offset (zero:
	// whatever comes next). It waits while the server takes nothing. The bytes
	// may be read until the batch is acknowledged.
	Send(lines []byte, offset int64) error
	// Recv returns the next acknowledgement: the sequence behind the oldest
	// batch that had none.
	Recv() (next int64, err error)
}

// Reader reads a log over one connection. It is used by one goroutine.
type Reader interface {
	// State is one of logservice.StateLive, StateArchived, StateUnknown.
	State() string
	// Next returns the next line, valid until the call after.
	Next() (Event, error)
	Close()
}

// Event is a line of a log, or its end.
type Event struct {
	Seq  int64 // zero: the server says none
	JSON []byte
	End  bool
}

// Open says how a stream is opened; zero values are the server's defaults.
type Open struct {
	TTL      time.Duration
	Truncate bool
}

// Batch is what one append carries.
type Batch struct {
	ContentType string
	Encoding    string // of HTTP; empty: none
	Data        []byte
	Offset      int64
}

// Close says how a log ends.
type Close struct {
	Snapshot *bool // nil: archived unless something is stored
	Under    bool  // every log at and below the key
}

// Listing is what is live, and what of it waits to be archived.
type Listing struct {
	Streams          []Info
	Waiting, Failing int
}

// Info describes a live log.
type Info struct {
	Key         string
	Lines       int64
	Bytes       int64
	Subscribers int
	TTL         time.Duration
	Node        string
}

// Refusal is what a server answered instead of doing what was asked.
type Refusal struct {
	Status           int    // of HTTP, or what that would be
	Code             string // the server's name of the error
	Message          string
	Hint             string
	RequestID        string
	Offset, Expected int64         // of an append that leaves a gap
	RetryAfter       time.Duration // zero: not said
}

func (r *Refusal) Error() string { return r.Message }

// Unreachable says that a server did not answer, or stopped to.
type Unreachable struct{ Err error }

func (u *Unreachable) Error() string { return u.Err.Error() }
func (u *Unreachable) Unwrap() error { return u.Err }

// Config is what a client tells a transport.
type Config struct {
	Address string      // host:port
	TLS     *tls.Config // nil: plain text
	Account string
	Token   string
}

// Dial makes a transport. It sends nothing yet.
type Dial func(Config) (Transport, error)
