// Package logs is the vocabulary of the service: batches of lines, and the
// contracts that its rules consume and its backends implement. It uses the
// standard library only.
//
// A log is live in an engine (Streams), and finished in a store (Store). The
// rules over both are package service; the engines are below internal/stream,
// the stores below internal/store.
package logs
