package grpcapi

import (
	"context"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/harness/log-service/internal/api"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

// failure returns the status that answers a call of context ctx with err, with
// the details that clients need to act on it.
func failure(ctx context.Context, err error, requestID string) (st *status.Status, internal bool) {
	if st, ok := status.FromError(err); ok { // from grpc itself: the peer disconnected, or violated the protocol
		ended := api.Ended(ctx)
		if ended == nil || st.Code() == codes.DeadlineExceeded {
			return st, false
		}
		err = ended
	}
	f := api.Describe(ctx, err)
	info := &errdetails.ErrorInfo{Reason: strings.ToUpper(f.Code), Domain: logservicev1.ErrorDomain}
	if f.Expected > 0 {
		info.Metadata = map[string]string{
			"offset":   strconv.FormatInt(f.Offset, 10),
			"expected": strconv.FormatInt(f.Expected, 10),
		}
	}
	details := []protoadapt.MessageV1{info, &errdetails.RequestInfo{RequestId: requestID}}
	if f.Hint != "" {
		details = append(details, &errdetails.LocalizedMessage{Locale: "en", Message: f.Hint})
	}
	if f.RetryAfter > 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(f.RetryAfter)})
	}
	st = status.New(codes.Code(f.GRPC), f.Message)
	if detailed, err := st.WithDetails(details...); err == nil {
		st = detailed
	}
	return st, f.Internal
}
