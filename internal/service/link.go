package service

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// How long a link may be used.
const (
	DefaultLinkTTL = time.Hour
	MaxLinkTTL     = 24 * time.Hour
)

// LinkKind says what a link allows; a link of one kind is of no use for
// another.
type LinkKind uint8

// The kinds of links.
const (
	LinkUpload   LinkKind = iota + 1 // PutBlob of the identity
	LinkDownload                     // Blob of the identity
	LinkZip                          // Zip of the account and, as prefix, the key (may be empty)
	LinkTail                         // Follow of the identity
)

// Link is the right to one action on one identity, for whoever holds it.
type Link struct {
	Kind      LinkKind
	ID        logservice.ID
	Expires   int64  // Unix time in seconds
	Signature string // URL-safe characters only
}

// SignLink makes a link that may be used for ttl: zero or less is
// DefaultLinkTTL, more than MaxLinkTTL is cut to it. ErrUnsupported: the
// service has no LinkKey. ErrLimit: an upload for an account that is full.
func (s *Service) SignLink(kind LinkKind, id logservice.ID, ttl time.Duration) (Link, error) {
	if len(s.linkKey) == 0 {
		return Link{}, logservice.Errorf(logservice.ErrUnsupported, "this server creates no links: it has no key to sign them")
	}
	if kind == LinkUpload {
		if err := s.quota.mayStore(id.Account); err != nil {
			return Link{}, err
		}
	}
	if ttl <= 0 {
		ttl = DefaultLinkTTL
	}
	l := Link{Kind: kind, ID: id, Expires: time.Now().Add(min(ttl, MaxLinkTTL)).Unix()}
	l.Signature = s.signature(l)
	return l, nil
}

// StoreLink returns a URL of the store itself that allows kind on id for ttl
// (as in SignLink): what it carries does not pass through the service.
// ErrUnsupported: the store makes none, or does not have the log yet; a link
// that SignLink makes does the same.
func (s *Service) StoreLink(ctx context.Context, kind LinkKind, id logservice.ID, ttl time.Duration) (string, error) {
	signer, ok := s.store.(logs.Signer)
	if !ok {
		return "", logservice.ErrUnsupported
	}
	if ttl <= 0 {
		ttl = DefaultLinkTTL
	}
	ttl = min(ttl, MaxLinkTTL)
	if _, ok := s.waiting(ctx, id); ok {
		return "", logservice.ErrUnsupported // what is archived next must neither be missed nor replace the upload
	}
	switch kind {
	case LinkUpload:
		return signer.SignPut(ctx, id, ttl)
	case LinkDownload:
		return signer.SignGet(ctx, id, ttl)
	}
	return "", logservice.ErrUnsupported
}

// VerifyLink checks that this service signed l as it stands and that its time
// is not over: ErrForbidden otherwise, whatever is wrong.
func (s *Service) VerifyLink(l Link) error {
	// The texts are compared: a decoder takes more than one for the same sum.
	if len(s.linkKey) == 0 || !hmac.Equal([]byte(l.Signature), []byte(s.signature(l))) {
		return logservice.Errorf(logservice.ErrForbidden, "the link is not valid: ask for a new one")
	}
	if time.Now().Unix() >= l.Expires {
		return logservice.Errorf(logservice.ErrForbidden, "the link has expired: ask for a new one")
	}
	return nil
}

// signature is the HMAC-SHA256 of l. Each text goes with its length, so that
// no two links are the same bytes.
func (s *Service) signature(l Link) string {
	b := append([]byte("log-service link 1\x00"), byte(l.Kind))
	b = binary.BigEndian.AppendUint64(b, uint64(l.Expires))
	for _, text := range []string{l.ID.Account, string(l.ID.Key)} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	h := hmac.New(sha256.New, s.linkKey)
	h.Write(b)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
