// Package logservice holds the words that every part of the log service
// shares: the identity of a log, its lines, and the errors that all backends
// and both ends of the wire agree on. It imports the standard library only,
// so that clients stay light.
//
// Programs that talk to a server want package client.
package logservice

import "time"

// The limits below are part of the protocol: a client may rely on them, and
// a server refuses what lies beyond them before it does any work.
const (
	// MaxKeyBytes bounds a key, so that every backend can hold it (S3 object
	// names end at 1024 bytes, prefix included).
	MaxKeyBytes = 1024
	// MaxAccountBytes bounds an account identifier.
	MaxAccountBytes = 255
	// DefaultMaxLineBytes is the size of one line's JSON past which its text
	// is cut and marked: 1 MiB.
	DefaultMaxLineBytes = 1 << 20
	// DefaultMaxBodyBytes bounds the body of one append: 64 MiB, after
	// decompression.
	DefaultMaxBodyBytes = 64 << 20
	// DefaultTTL is how long a stream lives after its last activity when its
	// opener names no time.
	DefaultTTL = 5 * time.Hour
	// MaxTTL is the longest a stream may live after its last activity.
	MaxTTL = 24 * time.Hour
	// DefaultAccount is the account of servers that run without
	// authentication.
	DefaultAccount = "default"
	// DefaultServer is where a server listens when nobody says otherwise.
	DefaultServer = "http://localhost:8079"
)

// Headers of the answers that programs read.
const (
	// HeaderNextSequence carries the sequence that the next line of the
	// stream will get: on every answered append, and with status 409 the one
	// that the refused append should have started at.
	HeaderNextSequence = "X-Log-Next-Sequence"
	// HeaderState says where a log is read from: StateLive, StateArchived,
	// StateIncomplete or StateUnknown.
	HeaderState = "X-Log-State"
)

// Values of HeaderState.
const (
	StateLive     = "live"
	StateArchived = "archived"
	// StateIncomplete is an archived log whose writer went silent: nobody
	// closed it, so lines may be missing at its end.
	StateIncomplete = "incomplete"
	StateUnknown    = "unknown"
)
