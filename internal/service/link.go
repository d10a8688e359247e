package service

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	logservice "github.com/harness/log-service"
)

// How long a link may be used.
const (
	DefaultLinkTTL = time.Hour
	MaxLinkTTL     = 24 * time.Hour
)

// LinkKind is what a link permits.
type LinkKind uint8

// The kinds of links.
const (
	LinkUpload   LinkKind = iota + 1 // PutBlob of the identity
	LinkDownload                     // Blob of the identity
	LinkZip                          // Zip of the account and, as prefix, the key (may be empty)
	LinkTail                         // Follow of the identity
)

// Link permits one action on one identity to whoever has it.
type Link struct {
	Kind      LinkKind
	ID        logservice.ID
	Expires   int64  // Unix time in seconds
	By        string // IDs of the token that it was made with, if it is of that kind
	Signature string // URL-safe characters only
}

// linkSigner signs and verifies links.
type linkSigner struct {
	key   []byte // Config.LinkKey
	quota *quota
}

// SignLink makes a link that may be used for ttl: zero or less is
// DefaultLinkTTL, more than MaxLinkTTL is cut to it. ErrUnsupported: the
// service has no LinkKey. ErrLimit: an upload for an account that is full.
func (s *linkSigner) SignLink(kind LinkKind, id logservice.ID, ttl time.Duration, by string) (Link, error) {
	if len(s.key) == 0 {
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
	l := Link{Kind: kind, ID: id, Expires: time.Now().Add(min(ttl, MaxLinkTTL)).Unix(), By: by}
	l.Signature = s.signature(l)
	return l, nil
}

// VerifyLink checks that this service signed l and that it has not expired;
// otherwise it returns ErrForbidden, whatever is wrong.
func (s *linkSigner) VerifyLink(l Link) error {
	// The encoded forms are compared: a decoder accepts several for the same
	// sum.
	if len(s.key) == 0 || !hmac.Equal([]byte(l.Signature), []byte(s.signature(l))) {
		return logservice.Errorf(logservice.ErrForbidden, "the link is not valid: ask for a new one")
	}
	if time.Now().Unix() >= l.Expires {
		return logservice.Errorf(logservice.ErrForbidden, "the link has expired: ask for a new one")
	}
	return nil
}

// signature is the HMAC-SHA256 of l. Each text is preceded by its length, so
// that no two links have the same bytes.
func (s *linkSigner) signature(l Link) string {
	b := append([]byte("log-service link 1\x00"), byte(l.Kind))
	b = binary.BigEndian.AppendUint64(b, uint64(l.Expires))
	texts := []string{l.ID.Account, string(l.ID.Key)}
	if l.By != "" {
		texts = append(texts, l.By)
	}
	for _, text := range texts {
		b = binary.BigEndian.AppendUint32(b, uint32(len(text)))
		b = append(b, text...)
	}
	h := hmac.New(sha256.New, s.key)
	h.Write(b)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}
