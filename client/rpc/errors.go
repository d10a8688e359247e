package rpc

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/harness/log-service/client/internal/transport"
)

// errorDomain is the domain of the ErrorInfo in errors of log services.
const errorDomain = "log-service"

var errStalled = errors.New("the server stopped answering")

// failure gives err the form that package client knows.
func (x *connection) failure(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) { // it ended without its last message
		return &transport.Unreachable{Err: io.ErrUnexpectedEOF}
	}
	st, ok := status.FromError(err)
	if !ok {
		return err
	}
	if r := refusal(st); r != nil {
		return r
	}
	switch st.Code() {
	case codes.Unauthenticated:
		return &transport.Refusal{Status: http.StatusUnauthorized, Code: "not_authenticated", Message: st.Message()}
	case codes.PermissionDenied:
		return &transport.Refusal{Status: http.StatusForbidden, Code: "forbidden", Message: st.Message()}
	case codes.ResourceExhausted:
		return &transport.Refusal{Status: http.StatusRequestEntityTooLarge, Code: "too_large", Message: st.Message(), Hint: "send smaller batches"}
	case codes.Unimplemented, codes.NotFound:
		return &transport.Refusal{Status: http.StatusNotImplemented, Code: "unsupported", Message: st.Message(),
			Hint: "this may not be a log service, or an older one: check the server address"}
	case codes.DeadlineExceeded:
		return &transport.Unreachable{Err: errStalled}
	case codes.InvalidArgument, codes.FailedPrecondition, codes.OutOfRange:
		return &transport.Refusal{Status: http.StatusBadRequest, Code: "invalid", Message: st.Message()}
	}
	// Of gRPC, not of the service: the connection is lost or was not made.
	cause := errors.New(st.Message())
	if broken := x.broken.Load(); broken != nil && strings.Contains(st.Message(), (*broken).Error()) {
		cause = *broken
	}
	return &transport.Unreachable{Err: cause}
}

// refusal is what a log service has answered; nil where it was not one.
func refusal(st *status.Status) *transport.Refusal {
	r := &transport.Refusal{Status: httpStatus(st.Code()), Message: st.Message()}
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() != errorDomain {
				return nil
			}
			r.Code = strings.ToLower(d.GetReason())
			r.Offset, _ = strconv.ParseInt(d.GetMetadata()["offset"], 10, 64)     // zero where absent
			r.Expected, _ = strconv.ParseInt(d.GetMetadata()["expected"], 10, 64) // the same
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
	return r
}

// httpStatus is the status that a service answers over HTTP where it answers
// code over gRPC.
func httpStatus(code codes.Code) int {
	switch code {
	case codes.NotFound:
		return http.StatusNotFound
	case codes.ResourceExhausted:
		return http.StatusRequestEntityTooLarge
	case codes.Aborted:
		return http.StatusConflict
	case codes.Unauthenticated:
		return http.StatusUnauthorized
	case codes.PermissionDenied:
		return http.StatusForbidden
	case codes.InvalidArgument:
		return http.StatusBadRequest
	case codes.Unimplemented:
		return http.StatusNotImplemented
	case codes.Unavailable, codes.Canceled:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}
