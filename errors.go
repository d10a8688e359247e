package logservice

import (
	"errors"
	"fmt"
	"time"
)

// Sentinel errors. Backends and the client return them wrapped; test with
// errors.Is. The table in kinds.go maps them to the wire.
var (
	// ErrInvalid marks input that violates a rule; the message names the value,
	// the rule and the remedy.
	ErrInvalid = errors.New("invalid input")
	// ErrStreamNotFound: there is no open stream with that identity.
	ErrStreamNotFound = errors.New("stream: not found")
	// ErrBlobNotFound: nothing is stored under that identity.
	ErrBlobNotFound = errors.New("blob: not found")
	// ErrTooLarge: a body exceeds its limit.
	ErrTooLarge = errors.New("body too large")
	// ErrConflict: the request contradicts what is stored. A *SequenceError is
	// an ErrConflict.
	ErrConflict = errors.New("conflict")
	// ErrUnauthorized: a token is missing or malformed.
	ErrUnauthorized = errors.New("not authenticated")
	// ErrForbidden: the token does not allow this.
	ErrForbidden = errors.New("operation not permitted")
	// ErrUnavailable: the server or a backend cannot do this now; the same
	// request may succeed later. An *UnavailableError says when to retry.
	ErrUnavailable = errors.New("temporarily unavailable")
	// ErrLimit: the account has reached one of its limits. It is wrapped in an
	// *UnavailableError, since the same request may succeed later.
	ErrLimit = errors.New("limit reached")
	// ErrUnsupported: the server does not offer this.
	ErrUnsupported = errors.New("not supported")
	// ErrDamaged: what is stored cannot be read as it was written, and never
	// will be. A *DamageError says which lines of a log that are.
	ErrDamaged = errors.New("the stored data is damaged")
	// ErrDeadline: the deadline passed before the request completed. It may
	// have been carried out. The client's error is also ErrUnavailable.
	ErrDeadline = errors.New("the deadline passed")
)

// Invalidf returns an ErrInvalid whose text is only the formatted message.
func Invalidf(format string, args ...any) error {
	return &kindError{kind: ErrInvalid, msg: fmt.Sprintf(format, args...)}
}

// Errorf is Invalidf for any sentinel: its text is only the message, and
// errors.Is matches kind.
func Errorf(kind error, format string, args ...any) error {
	return &kindError{kind: kind, msg: fmt.Sprintf(format, args...)}
}

type kindError struct {
	kind error
	msg  string
}

func (e *kindError) Error() string { return e.msg }
func (e *kindError) Unwrap() error { return e.kind }

// SequenceError rejects an append whose offset is beyond the end of the stream:
// the lines between would be missing. It is ErrConflict.
type SequenceError struct {
	Offset   int64 // where the rejected append was to start
	Expected int64 // the sequence of the next line
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

// GapError reports to a reader that the lines First to Last are lost: no
// backend has them anymore. Reading continues after Last.
type GapError struct {
	First, Last int64
}

func (e *GapError) Error() string {
	return fmt.Sprintf("%d lines lost: %d to %d", e.Last-e.First+1, e.First, e.Last)
}

// DamageError reports to a reader that lines of a finished log are stored but
// cannot be read. It is ErrDamaged, and a *GapError where the number of the
// lines is known. Reading continues after Last.
type DamageError struct {
	Gap
}

func (e *DamageError) Error() string {
	if e.Rest {
		return fmt.Sprintf("the log is damaged from line %d on: %s", e.First, e.Damage)
	}
	return fmt.Sprintf("lines %d to %d are damaged: %s", e.First, e.Last, e.Damage)
}

func (e *DamageError) Unwrap() []error {
	if e.Rest {
		return []error{ErrDamaged}
	}
	return []error{ErrDamaged, &GapError{First: e.First, Last: e.Last}}
}
