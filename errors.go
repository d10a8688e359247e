package logservice

import (
	"errors"
	"fmt"
	"time"
)

// Sentinel errors. Backends and the client return them wrapped; test with
// errors.Is. What they are on the wire is in the table of kinds.go.
var (
	// ErrInvalid marks input that breaks a rule; the message names the value,
	// the rule and the way out.
	ErrInvalid = errors.New("invalid input")
	// ErrStreamNotFound: no open stream of that identity.
	ErrStreamNotFound = errors.New("stream: not found")
	// ErrBlobNotFound: nothing is stored under that identity.
	ErrBlobNotFound = errors.New("blob: not found")
	// ErrTooLarge: a body over its limit.
	ErrTooLarge = errors.New("body too large")
	// ErrConflict: the request contradicts what is stored. A *SequenceError
	// is one.
	ErrConflict = errors.New("conflict")
	// ErrUnauthorized: a token is missing or malformed.
	ErrUnauthorized = errors.New("not authenticated")
	// ErrForbidden: the token does not allow this.
	ErrForbidden = errors.New("operation not permitted")
	// ErrUnavailable: the server or a backend cannot do this now; the same
	// request may succeed later. An *UnavailableError says when to try again.
	ErrUnavailable = errors.New("temporarily unavailable")
	// ErrLimit: the account has reached one of its limits. It comes as a part
	// of an *UnavailableError, since the same request may succeed later.
	ErrLimit = errors.New("limit reached")
	// ErrUnsupported: the server does not offer this.
	ErrUnsupported = errors.New("not supported")
	// ErrDeadline: the time for a request passed before it was done. It may
	// have been carried out. The client's is also ErrUnavailable.
	ErrDeadline = errors.New("the deadline passed")
)

// Invalidf returns an error that is ErrInvalid and reads as the formatted
// message alone.
func Invalidf(format string, args ...any) error {
	return &kindError{kind: ErrInvalid, msg: fmt.Sprintf(format, args...)}
}

// Errorf is Invalidf for any sentinel: it reads as the message alone and is
// kind for errors.Is.
func Errorf(kind error, format string, args ...any) error {
	return &kindError{kind: kind, msg: fmt.Sprintf(format, args...)}
}

type kindError struct {
	kind error
	msg  string
}

func (e *kindError) Error() string { return e.msg }
func (e *kindError) Unwrap() error { return e.kind }

// SequenceError refuses an append whose offset lies beyond the end of the
// stream: lines between would be missing. It is ErrConflict.
type SequenceError struct {
	Offset   int64 // where the refused append wanted to start
	Expected int64 // the sequence that the next line will get
}

func (e *SequenceError) Error() string {
	return fmt.Sprintf("offset %d leaves a gap: the next line is %d", e.Offset, e.Expected)
}
func (e *SequenceError) Unwrap() error { return errSequenceGap }

// UnavailableError is ErrUnavailable with a cause and a time to wait.
type UnavailableError struct {
	Cause      error
	RetryAfter time.Duration // zero: the server's default
}

func (e *UnavailableError) Error() string {
	return fmt.Sprintf("%v: %v", ErrUnavailable, e.Cause)
}
func (e *UnavailableError) Unwrap() []error { return []error{ErrUnavailable, e.Cause} }

// GapError tells a reader that the lines First to Last are gone: no backend
// holds them any more. Reading goes on after Last.
type GapError struct {
	First, Last int64
}

func (e *GapError) Error() string {
	return fmt.Sprintf("%d lines lost: %d to %d", e.Last-e.First+1, e.First, e.Last)
}
