// Package logs is the vocabulary of the service: batches of lines, and the
// contracts between its rules and its backends. It uses only the standard
// library.
//
// A log is live in an engine (Streams), and finished in a store (Store). The
// rules over both are in package service; the engines are in internal/stream,
// the stores in internal/store.
package logs
