package logs

import (
	"time"

	logservice "github.com/harness/log-service"
)

// How long a link may be used.
const (
	DefaultLinkTTL = time.Hour
	MaxLinkTTL     = 24 * time.Hour
)

// LinkKind says what a link allows; a link of one kind is of no use for
// another.
type LinkKind uint8

const (
	LinkUpload   LinkKind = iota + 1 // PutBlob of the identity
	LinkDownload                     // Blob of the identity
	LinkZip                          // Zip of the account and, as prefix, the key (may be empty)
)

// Link is the right to one action on one identity, for whoever holds it.
type Link struct {
	Kind      LinkKind
	ID        logservice.ID
	Expires   int64  // Unix time in seconds
	Signature string // URL-safe characters only
}

// SignLink makes a link that may be used for ttl: zero is DefaultLinkTTL,
// more than MaxLinkTTL is cut to it. ErrUnsupported: the service has no
// LinkKey.
func (s *Service) SignLink(kind LinkKind, id logservice.ID, ttl time.Duration) (Link, error) {
	return Link{}, logservice.ErrUnsupported
}

// VerifyLink checks that this service signed l as it stands and that its time
// is not over: ErrForbidden otherwise, whatever is wrong.
func (s *Service) VerifyLink(l Link) error {
	return logservice.ErrForbidden
}
