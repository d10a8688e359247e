// Package api holds what the APIs of the service share, HTTP and gRPC: how
// errors are answered, and the names of requests.
package api

import (
	"crypto/rand"
	"encoding/hex"
	"errors"

	logservice "github.com/harness/log-service"
)

// HeaderRequestID names a request in both directions: a client's own name is
// taken over where it is one.
const HeaderRequestID = "X-Request-Id"

// maxRequestID bounds the name of a request that a client may choose.
const maxRequestID = 64

// RequestID is given, the client's name of a request, where that is short and
// plain, else a random one.
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

// ErrStopping is what requests end with when the server stops: their clients
// go on as soon as it, or another one, is there.
var ErrStopping error = &logservice.UnavailableError{Cause: errors.New("the server stops")}

// ErrPanic is what a request that panicked is answered with.
var ErrPanic = errors.New("panic")
