package api

import (
	"context"
	"errors"
	"net/http"
	"time"

	logservice "github.com/harness/log-service"
)

// Failure is how an error is answered, whatever the protocol.
type Failure struct {
	logservice.Kind
	Message string
	// Offset and Expected are those of an append that leaves a gap, else zero.
	Offset, Expected int64
	// RetryAfter is when the same request may succeed; zero: not said.
	RetryAfter time.Duration
	// Internal: the error says something that only the log must know.
	Internal bool
}

// defaultRetryAfter is what clients are told to wait where the cause of a
// failure does not say.
const defaultRetryAfter = time.Second

// Describe says how err is answered to a request whose context is ctx.
func Describe(ctx context.Context, err error) Failure {
	k := kindOf(ctx, err)
	f := Failure{Kind: k, Message: "internal error", Internal: k.Status >= 500 && !k.Own}
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

// kindOf is the kind of err. What fails once the request has ended, whatever a
// backend makes of it, failed because of that; and a cancellation while the
// request goes on is the server's own.
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

// Ended says why the request of ctx has ended; nil: it goes on. A request that
// was canceled once its deadline had passed was so because of that: grpc-go
// does both at once.
func Ended(ctx context.Context) error {
	err := ctx.Err()
	if at, ok := ctx.Deadline(); ok && err != nil && !time.Now().Before(at) {
		return context.DeadlineExceeded
	}
	return err
}
