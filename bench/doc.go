// Command bench measures a log-service server against references.
//
// It has four parts. The load generator (package load) speaks the public API to a
// loopback address, with prepared bytes on raw sockets, because server and
// generator share the machine. The references are the least a server could do
// with the same bytes (package ref: a handler that discards the body, one that
// only scans it, a bare fan-out of prepared frames) and the bare cost of the disk
// and of the libraries. This package has the scenarios, and the runner that starts
// server and references in turn, each as a child process. Package report turns
// what it measured into medians and ratios.
//
//	go run ./bench                 # everything, three rounds
//	go run ./bench -quick          # about two minutes
//	go run ./bench -run ingest     # scenarios whose name matches
//	go run ./bench -addr 127.0.0.1:8079 -run fanout
//
// It is a module of its own, and go.work makes these commands work at the root
// of the repository. Results are kept in results.
//
// It prints one JSON object per scenario on standard output, and its progress
// on standard error. results/README.md describes each figure.
package main
