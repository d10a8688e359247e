package logservice

import (
	"context"
	"errors"
	"io"
	"slices"
)

// Kind is what errors of one kind are on the wire, the same for servers and
// clients of HTTP and gRPC.
type Kind struct {
	Err    error  // what errors.Is finds at both ends; nil for internal errors
	Code   string // the kind's name for programs; over gRPC in capitals
	Status int    // of HTTP
	GRPC   uint32 // the code of gRPC
	Hint   string // what the caller can do; may be empty
	// Own: the words of such an error are written for the caller. Of any other
	// the caller sees the words of Err, and the server's log the rest.
	Own bool

	from     []error // errors of the standard library that are of this kind
	statuses []int   // of other servers and of proxies
}

// Codes of gRPC, as its specification numbers them.
const (
	grpcCanceled          = 1
	grpcInvalidArgument   = 3
	grpcDeadlineExceeded  = 4
	grpcNotFound          = 5
	grpcPermissionDenied  = 7
	grpcResourceExhausted = 8
	grpcAborted           = 10
	grpcUnimplemented     = 12
	grpcInternal          = 13
	grpcUnavailable       = 14
	grpcUnauthenticated   = 16
)

// Kinds with no sentinel of their own.
var (
	errSequenceGap = Errorf(ErrConflict, "lines between are missing")
	errEndedEarly  = Errorf(ErrInvalid, "the request ended early")
)

// kinds is the one table of errors. Where several rows match, the first one is
// the general one, which a status or a code of gRPC stands for, and the last
// one is the specific one, which an error is of.
var kinds = []Kind{
	{Err: ErrInvalid, Code: "invalid", Status: 400, GRPC: grpcInvalidArgument, Own: true},
	{Err: errEndedEarly, Code: "invalid", Status: 400, GRPC: grpcCanceled,
		from: []error{context.Canceled, io.ErrUnexpectedEOF}},
	{Err: ErrUnauthorized, Code: "not_authenticated", Status: 400, GRPC: grpcUnauthenticated, Own: true,
		statuses: []int{401}},
	{Err: ErrForbidden, Code: "forbidden", Status: 403, GRPC: grpcPermissionDenied, Own: true},
	{Err: ErrStreamNotFound, Code: "stream_not_found", Status: 404, GRPC: grpcNotFound,
		Hint: "open the stream first, or read the archived log"},
	{Err: ErrBlobNotFound, Code: "blob_not_found", Status: 404, GRPC: grpcNotFound},
	{Err: ErrConflict, Code: "conflict", Status: 409, GRPC: grpcAborted, Own: true},
	{Err: errSequenceGap, Code: "sequence_gap", Status: 409, GRPC: grpcAborted, Own: true,
		Hint: "send the lines from the expected one on"},
	{Err: ErrTooLarge, Code: "too_large", Status: 413, GRPC: grpcResourceExhausted, Own: true},
	{Err: ErrUnsupported, Code: "unsupported", Status: 501, GRPC: grpcUnimplemented, Own: true,
		statuses: []int{405}},
	{Err: ErrDeadline, Code: "deadline_exceeded", Status: 504, GRPC: grpcDeadlineExceeded,
		Hint: "it may have been carried out: the same request may succeed later",
		from: []error{context.DeadlineExceeded}},
	{Err: ErrUnavailable, Code: "unavailable", Status: 503, GRPC: grpcUnavailable,
		Hint:     "the same request may succeed later",
		statuses: []int{429, 502}},
	{Err: ErrLimit, Code: "limit", Status: 503, GRPC: grpcUnavailable, Own: true},
}

var internalKind = Kind{Code: "internal", Status: 500, GRPC: grpcInternal,
	Hint: "the server's log has more under this request_id"}

// Temporary reports whether the same request may succeed later.
func (k Kind) Temporary() bool {
	return k.Status == 503 || k.Status == 504
}

// KindOf is the kind of an error; internal for all that no sentinel is in.
func KindOf(err error) Kind {
	for _, k := range slices.Backward(kinds) {
		if errors.Is(err, k.Err) || slices.ContainsFunc(k.from, func(e error) bool { return errors.Is(err, e) }) {
			return k
		}
	}
	return internalKind
}

// KindOfCode is the kind that a server has named; internal where it names none
// that is known.
func KindOfCode(code string) Kind {
	return first(func(k Kind) bool { return k.Code == code })
}

// KindOfStatus is the kind that a status of HTTP stands for where the answer
// names none. An unknown status below 500 is ErrInvalid, another one internal.
func KindOfStatus(status int) Kind {
	k := first(func(k Kind) bool { return k.Status == status || slices.Contains(k.statuses, status) })
	if k.Err == nil && status >= 400 && status < 500 {
		return kinds[0]
	}
	return k
}

// KindOfGRPC is the kind that a code of gRPC stands for where the status names
// none; internal for codes that no server of logs sends.
func KindOfGRPC(code uint32) Kind {
	return first(func(k Kind) bool { return k.GRPC == code })
}

func first(matches func(Kind) bool) Kind {
	if i := slices.IndexFunc(kinds, matches); i >= 0 {
		return kinds[i]
	}
	return internalKind
}
