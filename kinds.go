package logservice

import (
	"context"
	"errors"
	"io"
	"slices"
	"syscall"
)

// Kind is how errors of one kind appear on the wire, the same for servers and
// clients of HTTP and gRPC.
type Kind struct {
	Err    error  // what errors.Is matches at both ends; nil for internal errors
	Code   string // the kind's name for programs; in capitals over gRPC
	Status int    // HTTP status
	GRPC   uint32 // gRPC code
	Hint   string // what the caller can do; may be empty
	// Own: the text of such an error is meant for the caller. Otherwise the
	// caller sees the text of Err, and the rest goes to the server's log.
	Own bool

	from     []error // errors of the standard library of this kind
	statuses []int   // statuses of other servers and of proxies
}

// gRPC codes, numbered as in its specification.
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
	grpcDataLoss          = 15
	grpcUnauthenticated   = 16
)

// Kinds with no sentinel of their own.
var (
	errSequenceGap = Errorf(ErrConflict, "lines between are missing")
	errEndedEarly  = Errorf(ErrInvalid, "the request ended early")
	errNoSpace     = Errorf(ErrUnavailable, "no space left on the server's disk")
)

// kinds is the only table of errors. If several rows match, the first is the
// general one, which an HTTP status or gRPC code maps to, and the last is the
// specific one, which an error maps to.
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
	// Not of the 500 class, which promises that a retry may help. Its row is
	// above that of ErrUnavailable: damage that is being repaired is temporary.
	{Err: ErrDamaged, Code: "damaged", Status: 410, GRPC: grpcDataLoss,
		Hint: "a retry does not help: following the log returns what can still be read"},
	{Err: ErrTooLarge, Code: "too_large", Status: 413, GRPC: grpcResourceExhausted, Own: true},
	{Err: ErrUnsupported, Code: "unsupported", Status: 501, GRPC: grpcUnimplemented, Own: true,
		statuses: []int{405}},
	{Err: ErrDeadline, Code: "deadline_exceeded", Status: 504, GRPC: grpcDeadlineExceeded,
		Hint: "it may have been carried out: the same request may succeed later",
		from: []error{context.DeadlineExceeded}},
	{Err: ErrUnavailable, Code: "unavailable", Status: 503, GRPC: grpcUnavailable,
		Hint:     "the same request may succeed later",
		statuses: []int{429, 502}},
	// Whatever returned these errnos was on a disk of this process: Redis and
	// buckets report their lack of space as text.
	{Err: errNoSpace, Code: "unavailable", Status: 503, GRPC: grpcUnavailable,
		Hint: "deleting logs frees space; the same request may succeed later",
		from: []error{syscall.ENOSPC, syscall.EDQUOT}},
	{Err: ErrLimit, Code: "limit", Status: 503, GRPC: grpcUnavailable, Own: true},
}

var internalKind = Kind{Code: "internal", Status: 500, GRPC: grpcInternal,
	Hint: "the server's log has more under this request_id"}

// Temporary reports whether the same request may succeed later.
func (k Kind) Temporary() bool {
	return k.Status == 503 || k.Status == 504
}

// KindOf returns the kind of an error; errors without a sentinel are internal.
func KindOf(err error) Kind {
	for _, k := range slices.Backward(kinds) {
		if errors.Is(err, k.Err) || slices.ContainsFunc(k.from, func(e error) bool { return errors.Is(err, e) }) {
			return k
		}
	}
	return internalKind
}

// KindOfCode returns the kind named by a server; internal for an empty or
// unknown code.
func KindOfCode(code string) Kind {
	return first(func(k Kind) bool { return k.Code == code })
}

// KindOfStatus returns the kind that an HTTP status represents if the answer
// names none. An unknown status below 500 is ErrInvalid, others are internal.
func KindOfStatus(status int) Kind {
	k := first(func(k Kind) bool { return k.Status == status || slices.Contains(k.statuses, status) })
	if k.Err == nil && status >= 400 && status < 500 {
		return kinds[0]
	}
	return k
}

// KindOfGRPC returns the kind that a gRPC code represents if the status names
// none; internal for codes that no log server sends.
func KindOfGRPC(code uint32) Kind {
	return first(func(k Kind) bool { return k.GRPC == code })
}

func first(matches func(Kind) bool) Kind {
	if i := slices.IndexFunc(kinds, matches); i >= 0 {
		return kinds[i]
	}
	return internalKind
}
