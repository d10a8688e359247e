// Package api holds what the HTTP and gRPC APIs share: the mapping of errors to
// responses, and request IDs.
package api

import (
	"crypto/rand"
	"encoding/hex"
	"errors"

	logservice "github.com/harness/log-service"
)

// HeaderRequestID carries the ID of a request in both directions. A valid ID that
// the client sent is kept.
const HeaderRequestID = "X-Request-Id"

// maxRequestID limits the length of an ID chosen by a client.
const maxRequestID = 64

// RequestID returns given, the ID that the client sent, if it is short and
// plain, and a random ID otherwise.
func RequestID(given string) string {
	if given != "" && len(given) <= maxRequestID && plain(given) {
		return given
	}
	var random [8]byte
	_, _ = rand.Read(random[:]) // never fails
	return hex.EncodeToString(random[:])
}

func plain(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.' {
			return false
		}
	}
	return true
}

// ErrStopping ends requests when the server stops. Their clients continue as soon
// as this server, or another one, is available.
var ErrStopping error = &logservice.UnavailableError{Cause: errors.New("the server stops")}

// ErrPanic is the error of a request that panicked.
var ErrPanic = errors.New("panic")
