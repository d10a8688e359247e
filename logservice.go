// Package logservice contains the vocabulary shared by all parts of the log
// service: the identity of a log, its lines, and the errors that all backends
// and both ends of the wire use. It imports only the standard library, so that
// clients stay small.
//
// Programs that use a server need package client.
package logservice

import "time"

// These limits are part of the protocol: clients may rely on them, and servers
// reject what exceeds them before doing any work.
const (
	// MaxKeyBytes limits a key, so that every backend can store it (S3 object
	// names have at most 1024 bytes, including a prefix).
	MaxKeyBytes = 1024
	// MaxAccountBytes limits an account identifier.
	MaxAccountBytes = 255
	// DefaultMaxLineBytes is the size of a line's JSON beyond which its text is
	// cut and marked: 1 MiB.
	DefaultMaxLineBytes = 1 << 20
	// DefaultMaxBodyBytes limits the body of one append: 64 MiB, after
	// decompression.
	DefaultMaxBodyBytes = 64 << 20
	// DefaultTTL is how long a stream lives after its last activity if no time
	// was given when it was opened.
	DefaultTTL = 5 * time.Hour
	// MaxTTL is the longest time that a stream may live after its last
	// activity.
	MaxTTL = 24 * time.Hour
	// DefaultAccount is the account on servers without authentication.
	DefaultAccount = "default"
	// DefaultServer is the default address of a server.
	DefaultServer = "http://localhost:8079"
)

// Response headers that programs read.
const (
	// HeaderNextSequence is the sequence of the stream's next line: in every
	// successful append response, and with status 409 the sequence at which the
	// rejected append should have started.
	HeaderNextSequence = "X-Log-Next-Sequence"
	// HeaderState is where a log is read from: StateLive, StateArchived,
	// StateIncomplete or StateUnknown.
	HeaderState = "X-Log-State"
	// HeaderAttempt is the attempt of a log that an answer is of, from the second
	// on.
	HeaderAttempt = "X-Log-Attempt"
)

// Values of HeaderState.
const (
	StateLive     = "live"
	StateArchived = "archived"
	// StateIncomplete is an archived log whose writer became silent: it was
	// never closed, so lines may be missing at its end.
	StateIncomplete = "incomplete"
	StateUnknown    = "unknown"
)
