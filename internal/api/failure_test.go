package api_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api"
)

func TestAFailureSaysWhatItsCallerMayKnow(t *testing.T) {
	over, cancel := context.WithDeadline(context.Background(), time.Now().Add(-time.Second))
	defer cancel()
	gone, leave := context.WithCancel(context.Background())
	leave()
	both, cancelBoth := context.WithDeadline(gone, time.Now().Add(-time.Second))
	defer cancelBoth()
	if both.Err() != context.Canceled { //nolint:errorlint // what this test needs
		t.Fatal(both.Err())
	}
	secret := errors.New("dial tcp 10.0.0.7: password wrong")
	for _, tc := range []struct {
		ctx      context.Context
		err      error
		status   int
		grpc     codes.Code
		message  string
		internal bool
	}{
		{t.Context(), logservice.Invalidf("key %q is bad", "k"), 400, codes.InvalidArgument, `key "k" is bad`, false},
		{t.Context(), logservice.ErrUnauthorized, 400, codes.Unauthenticated, "not authenticated", false},
		{t.Context(), logservice.ErrForbidden, 403, codes.PermissionDenied, "operation not permitted", false},
		{t.Context(), fmt.Errorf("a: %w", logservice.ErrStreamNotFound), 404, codes.NotFound, "stream: not found", false},
		{t.Context(), fmt.Errorf("a: %w", logservice.ErrBlobNotFound), 404, codes.NotFound, "blob: not found", false},
		{t.Context(), fmt.Errorf("a: %w", &logservice.SequenceError{Offset: 9, Expected: 4}), 409, codes.Aborted, "offset 9 leaves a gap: the next line is 4", false},
		{t.Context(), logservice.Errorf(logservice.ErrConflict, "just written"), 409, codes.Aborted, "just written", false},
		{t.Context(), logservice.Errorf(logservice.ErrTooLarge, "too much"), 413, codes.ResourceExhausted, "too much", false},
		{t.Context(), fmt.Errorf("%w: %w", logservice.ErrDamaged, secret), 410, codes.DataLoss, "the stored data is damaged", true},
		{t.Context(), logservice.ErrUnsupported, 501, codes.Unimplemented, "not supported", false},
		{t.Context(), &logservice.UnavailableError{Cause: secret}, 503, codes.Unavailable, "temporarily unavailable", true},
		{t.Context(), logservice.Errorf(logservice.ErrLimit, "too many lines"), 503, codes.Unavailable, "too many lines", false},
		{t.Context(), secret, 500, codes.Internal, "internal error", true},

		// A deadline that passes, the server's own or the request's.
		{t.Context(), fmt.Errorf("fetch: %w", context.DeadlineExceeded), 504, codes.DeadlineExceeded, "the deadline passed", true},
		{over, context.DeadlineExceeded, 504, codes.DeadlineExceeded, "the deadline passed", true},
		{over, secret, 504, codes.DeadlineExceeded, "the deadline passed", true},
		{over, &logservice.UnavailableError{Cause: secret}, 504, codes.DeadlineExceeded, "the deadline passed", true},
		{over, logservice.ErrBlobNotFound, 404, codes.NotFound, "blob: not found", false},
		{over, logservice.ErrUnsupported, 501, codes.Unimplemented, "not supported", false},
		{both, context.Canceled, 504, codes.DeadlineExceeded, "the deadline passed", true},
		{both, secret, 504, codes.DeadlineExceeded, "the deadline passed", true},
		// A caller that has gone, and a server that gives up on its own.
		{gone, context.Canceled, 400, codes.Canceled, "the request ended early", false},
		{gone, secret, 400, codes.Canceled, "the request ended early", false},
		{t.Context(), fmt.Errorf("fetch: %w", context.Canceled), 503, codes.Unavailable, "temporarily unavailable", true},
	} {
		f := api.Describe(tc.ctx, tc.err)
		if f.Status != tc.status || codes.Code(f.GRPC) != tc.grpc || f.Message != tc.message || f.Internal != tc.internal {
			t.Errorf("%v (context: %v): %+v, want %d, %v, %q, internal %v", tc.err, tc.ctx.Err(), f, tc.status, tc.grpc, tc.message, tc.internal)
		}
		if (f.RetryAfter > 0) != (f.Status == http.StatusServiceUnavailable) {
			t.Errorf("%v: to be repeated after %v", tc.err, f.RetryAfter)
		}
	}
}
