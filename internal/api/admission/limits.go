// Package admission limits what requests may make the server hold or wait for,
// over HTTP and gRPC: memory budgets shared between accounts, and the buffers
// that bodies are read into.
package admission

import (
	"time"

	logservice "github.com/harness/log-service"
)

const (
	// DefaultBodyMemory is the budget for all append bodies in flight over HTTP:
	// four of the largest.
	DefaultBodyMemory = 4 * logservice.DefaultMaxBodyBytes
	// DefaultPushMemory is the budget for the lines of all pushes over gRPC that
	// are not durable yet, including messages being scanned.
	DefaultPushMemory = 128 << 20
	// DefaultMaxUpload keeps a compressed body from filling the store.
	DefaultMaxUpload = 16 << 30
	// DefaultStall is how long a peer may neither send nor receive when the server
	// waits for it: long enough for a laptop to change networks, short enough
	// to keep stalled peers from piling up.
	DefaultStall = 60 * time.Second
)
