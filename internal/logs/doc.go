// Package logs holds the rules of the service, and the contracts of the
// engines and stores that it stands on.
//
// Service is what the dialects call, over HTTP and gRPC: identity and limits,
// close then archive then delete, and reads that do not care whether a log is
// live or archived. It knows no backend: it consumes Streams and Store, which the
// packages under internal/stream and internal/store implement.
package logs
