// Package transport is the interface between package client and a protocol for
// live logs: HTTP, which is built in, or gRPC, which is in package client/rpc so
// that programs without it stay small.
package transport

import (
	"context"
	"crypto/tls"
	"time"

	logservice "github.com/harness/log-service"
)

// Transport calls one server on behalf of one account. Every method makes one
// attempt; package client retries. Errors are *Refusal, *Unreachable, the
// context's error, or an error of package client. Methods are safe for concurrent
// use.
type Transport interface {
	Open(ctx context.Context, key string, o Open) error
	Append(ctx context.Context, key string, b Batch) (next int64, err error)
	Close(ctx context.Context, key string, o Close) error
	List(ctx context.Context, prefix string) (Listing, error)
	// Tail returns once the server has responded.
	Tail(ctx context.Context, key string, o Tail) (Reader, error)
	// CloseIdle closes connections that are not in use.
	CloseIdle()
}

// Pusher is a Transport that can have several batches in flight.
type Pusher interface {
	// Push starts a call that ends with ctx. With compress, the transport
	// compresses the batches.
	Push(ctx context.Context, key string, compress bool) (Push, error)
}

// Push appends one batch after another to one log. One goroutine may call Send
// while another calls Recv.
type Push interface {
	// Send sends a batch whose first line is to get the sequence offset (zero
	// means the next one). It blocks while the server applies back pressure.
	// lines must not change until the batch is acknowledged.
	Send(lines []byte, offset int64) error
	// Recv returns the next acknowledgement: the sequence after the oldest
	// unacknowledged batch.
	Recv() (next int64, err error)
}

// Reader reads a log over one connection. It is not safe for concurrent use.
type Reader interface {
	// State is logservice.StateLive, StateArchived, StateIncomplete or
	// StateUnknown.
	State() string
	// Next returns the next line, valid until the next call.
	Next() (Event, error)
	Close()
}

// Tail has the options of reading a log.
type Tail struct {
	After logservice.Position
	Only  bool // the attempt of After alone, not those that follow
	// Existing ends the read after the lines that exist now. Older servers
	// ignore it.
	Existing bool
}

// Event is a line of a log, or its end.
type Event struct {
	Attempt int64 // of the log, from 1
	Seq     int64 // zero if the server sent none, or announces an attempt
	JSON    []byte
	End     bool
}

// Open has the options of opening a stream; zero values mean the server's
// defaults.
type Open struct {
	TTL      time.Duration
	Truncate bool
}

// Batch is the content of one append.
type Batch struct {
	ContentType string
	Encoding    string // HTTP content encoding; may be empty
	Data        []byte
	Offset      int64
}

// Close has the options of closing a log.
type Close struct {
	Snapshot *bool // nil: the default, which archives
	Under    bool  // close every log at and below the key
}

// Listing describes live logs and closed ones that are not archived yet.
type Listing struct {
	Streams          []Info
	Waiting, Failing int
}

// Info describes a live log.
type Info struct {
	Key         string
	Lines       int64
	Bytes       int64
	Attempt     int64
	Subscribers int
	TTL         time.Duration
	Node        string
}

// Refusal is an error that the server responded with.
type Refusal struct {
	Status           int    // HTTP status, or its equivalent
	Code             string // the server's error code
	Message          string
	Hint             string
	RequestID        string
	Offset, Expected int64         // of an append that would leave a gap
	RetryAfter       time.Duration // zero if not specified
}

func (r *Refusal) Error() string { return r.Message }

// Unreachable reports that a server did not respond, or stopped responding.
type Unreachable struct{ Err error }

func (u *Unreachable) Error() string { return u.Err.Error() }
func (u *Unreachable) Unwrap() error { return u.Err }

// Config configures a transport.
type Config struct {
	Address string      // host:port
	TLS     *tls.Config // nil: plain text
	Account string
	// Token returns the token of one attempt; empty sends none. Its error is one
	// of package client.
	Token func(context.Context) (string, error)
}

// Dial creates a transport. It does not contact the server.
type Dial func(Config) (Transport, error)
