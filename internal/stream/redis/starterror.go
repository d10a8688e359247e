package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/redis/rueidis"
)

// minVersion is the first version of Redis with all that the scripts use.
var minVersion = [2]int{6, 2}

// A versionError says that a Redis is too old.
type versionError struct{ what string }

func (e *versionError) Error() string { return "it is " + e.what }

// A StartError reports why an engine cannot use a Redis, and the remedy.
type StartError struct {
	Addresses string
	Cause     error
	Hint      string
}

func (e *StartError) Error() string {
	return fmt.Sprintf("redis at %s: %v; %s", e.Addresses, e.Cause, e.Hint)
}

// startError adds the remedy to an error of the start.
func startError(c Config, err error) error {
	e := &StartError{Addresses: strings.Join(c.Addresses, ", "), Cause: err}
	text := err.Error()
	var opErr *net.OpError
	var unknownAuthority x509.UnknownAuthorityError
	var recordHeader tls.RecordHeaderError
	var evicts *evictsError
	var old *versionError
	switch {
	case errors.As(err, &old):
		e.Hint = fmt.Sprintf("a node needs %d.%d or later", minVersion[0], minVersion[1])
	case errors.As(err, &evicts):
		e.Hint = "set it to noeviction, in its configuration too: CONFIG SET maxmemory-policy noeviction, CONFIG REWRITE"
	case strings.Contains(text, "WRONGPASS"), strings.Contains(text, "invalid username-password"), strings.Contains(text, "invalid password"):
		e.Hint = "check the user name and the password: LOG_SERVICE_REDIS_USERNAME, LOG_SERVICE_REDIS_PASSWORD"
	case strings.Contains(text, "NOAUTH"):
		e.Hint = "it wants a password: set LOG_SERVICE_REDIS_PASSWORD"
	case strings.Contains(text, "NOPERM"), strings.Contains(text, "ACL failure in script"), strings.Contains(text, "can't run this command"), strings.Contains(text, "can't access at least one of the keys"):
		e.Hint = fmt.Sprintf("give its user the rights of a node, for example: ACL SETUSER %s on >PASSWORD ~%s* %s", orDefault(c.Username), c.Prefix, Rights)
	case strings.Contains(text, "No such master"), c.MasterName != "" && errors.Is(err, rueidis.Nil):
		e.Hint = fmt.Sprintf("the sentinels know no master of the name %q: check LOG_SERVICE_REDIS_MASTER_NAME", c.MasterName)
	case errors.As(err, &unknownAuthority):
		e.Hint = "its certificate is of an authority that this machine does not know: name it with LOG_SERVICE_REDIS_SSL_CA_CERT_PATH"
	case errors.As(err, &recordHeader), strings.Contains(text, "first record does not look like a TLS handshake"):
		e.Hint = "it does not speak TLS: leave LOG_SERVICE_REDIS_SSL_ENABLED unset"
	case errors.As(err, &opErr) && opErr.Op == "dial":
		e.Hint = "nobody answers there: check the address (LOG_SERVICE_REDIS_ENDPOINT, LOG_SERVICE_REDIS_SENTINEL_ADDRS) and that Redis runs"
	case c.TLS == nil && (strings.Contains(text, "EOF") || strings.Contains(text, "reset by peer")):
		e.Hint = "it hangs up: where it speaks TLS, set LOG_SERVICE_REDIS_SSL_ENABLED=true"
	case c.TLS != nil && errors.Is(err, context.DeadlineExceeded):
		e.Hint = "it answers nothing to TLS: where it speaks none, leave LOG_SERVICE_REDIS_SSL_ENABLED unset"
	default:
		e.Hint = "see docs/scaling.md for what a node needs of Redis"
	}
	return e
}

func orDefault(user string) string {
	if user == "" {
		return "default"
	}
	return user
}

// Rights are the permissions that the user of a node needs, other than its
// keys; see docs/scaling.md. Without the last, INFO, a node starts, but detects
// some conditions later.
const Rights = "+@connection +@scripting +@hash +@sortedset +@stream +@string +@keyspace +time +wait +info"
