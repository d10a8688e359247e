// Package conformance runs the conformance suite of stream engines against whole
// servers, over HTTP and gRPC. They are in the process of the tests, so that the race
// detector and the debugger see both sides.
package conformance
