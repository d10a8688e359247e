package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	logservice "github.com/harness/log-service"
)

// Failure describes the response to an error, independent of the protocol.
type Failure struct {
	logservice.Kind
	Message string
	// Offset and Expected are set for an append that would leave a gap.
	Offset, Expected int64
	// RetryAfter is when the same request may succeed; zero if unknown.
	RetryAfter time.Duration
	// Internal reports that the error has details that only the log may show.
	Internal bool
}

// defaultRetryAfter is the delay sent to clients if the cause of a failure does not
// specify one.
const defaultRetryAfter = time.Second

// Describe returns the response to err for a request with context ctx.
func Describe(ctx context.Context, err error) Failure {
	k := kindOf(ctx, err)
	f := Failure{Kind: k, Message: "internal error", Internal: !k.Own && (k.Status >= 500 || errors.Is(k.Err, logservice.ErrDamaged))}
	switch {
	case k.Own:
		f.Message = err.Error()
	case k.Err != nil:
		f.Message = k.Err.Error()
	}
	if gap := (*logservice.SequenceError)(nil); errors.As(err, &gap) {
		f.Message, f.Offset, f.Expected = gap.Error(), gap.Offset, gap.Expected
	}
	if k.Status == http.StatusServiceUnavailable {
		f.RetryAfter = defaultRetryAfter
		if u := (*logservice.UnavailableError)(nil); errors.As(err, &u) && u.RetryAfter > 0 {
			f.RetryAfter = u.RetryAfter
		}
	}
	return f
}

// kindOf returns the kind of err. An error after the request has ended is
// attributed to that end, whatever a backend made of it. A cancellation while the
// request is in progress is the server's own.
func kindOf(ctx context.Context, err error) logservice.Kind {
	k := logservice.KindOf(err)
	canceled := errors.Is(err, context.Canceled)
	switch ended := Ended(ctx); {
	case ended != nil && (canceled || k.Err == nil || k.Temporary()):
		return logservice.KindOf(ended)
	case ended == nil && canceled:
		return logservice.KindOf(logservice.ErrUnavailable)
	}
	return k
}

// Ended returns why the request of ctx ended, or nil if it is in progress. A
// request that was cancelled after its deadline counts as expired: grpc-go does
// both at once.
func Ended(ctx context.Context) error {
	err := ctx.Err()
	if at, ok := ctx.Deadline(); ok && err != nil && !time.Now().Before(at) {
		return context.DeadlineExceeded
	}
	return err
}
