package rpc

import (
	"errors"
	"io"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client/internal/transport"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

var errStalled = errors.New("the server stopped answering")

// failure converts err to the errors that package client expects.
func (x *connection) failure(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) { // ended without a final message
		return &transport.Unreachable{Err: io.ErrUnexpectedEOF}
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	if r := refusal(st); r != nil {
		return r
	}
	// The error comes from gRPC or a proxy, not from the service.
	code, hint := st.Code(), ""
	switch code {
	case codes.DeadlineExceeded:
		return &transport.Unreachable{Err: errStalled}
	case codes.NotFound, codes.Unimplemented:
		code, hint = codes.Unimplemented, "this may not be a log service, or an older one: check the server address"
	case codes.ResourceExhausted:
		hint = "send smaller batches"
	case codes.FailedPrecondition, codes.OutOfRange:
		code = codes.InvalidArgument
	}
	switch code {
	case codes.Unauthenticated, codes.PermissionDenied, codes.ResourceExhausted, codes.Unimplemented, codes.InvalidArgument, codes.DataLoss:
		k := logservice.KindOfGRPC(uint32(code))
		return &transport.Refusal{Status: k.Status, Code: k.Code, Message: st.Message(), Hint: hint}
	}
	// The connection was lost or could not be made.
	cause := errors.New(st.Message())
	if broken := x.broken.Load(); broken != nil && strings.Contains(st.Message(), (*broken).Error()) {
		cause = *broken
	}
	return &transport.Unreachable{Err: cause}
}

// refusal returns the error that a log service sent, or nil if it came from
// elsewhere.
func refusal(st *status.Status) *transport.Refusal {
	r := &transport.Refusal{Message: st.Message()}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() != logservicev1.ErrorDomain {
				return nil
			}
			r.Code = strings.ToLower(d.GetReason())
			r.Offset, _ = strconv.ParseInt(d.GetMetadata()["offset"], 10, 64)     // zero if absent
			r.Expected, _ = strconv.ParseInt(d.GetMetadata()["expected"], 10, 64) // zero if absent
		case *errdetails.RequestInfo:
			r.RequestID = d.GetRequestId()
		case *errdetails.LocalizedMessage:
			r.Hint = d.GetMessage()
		case *errdetails.RetryInfo:
			r.RetryAfter = d.GetRetryDelay().AsDuration()
		}
	}
	if r.Code == "" {
		return nil
	}
	k := logservice.KindOfCode(r.Code)
	if k.Err == nil { // from a newer server
		k = logservice.KindOfGRPC(uint32(st.Code()))
	}
	r.Status = k.Status
	return r
}
