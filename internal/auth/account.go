package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
)

// AccountTokenTTL is the lifetime of an account token, as clients of the original
// Harness log service expect it.
const AccountTokenTTL = 48 * time.Hour

const (
	expiryBytes = 4 // seconds since 1970, big endian
	sumBytes    = sha256.Size
)

// newAccountToken makes a token for everything in account, in the format of the
// original Harness log service (github.com/dchest/authcookie): the URL-safe,
// padded base64 of expiry, account and their checksum.
func newAccountToken(account string, expires time.Time, secret []byte) string {
	b := make([]byte, 0, expiryBytes+len(account)+sumBytes)
	b = binary.BigEndian.AppendUint32(b, uint32(expires.Unix()))
	b = append(b, account...)
	return base64.URLEncoding.EncodeToString(append(b, accountSum(b, secret)...))
}

// NewAccountToken makes an account token with a given secret. For those of a
// server, see Verifier.AccountToken.
func NewAccountToken(account string, expires time.Time, secret string) (string, error) {
	account, err := logservice.ParseAccount(account)
	if err != nil {
		return "", err
	}
	if last := time.Unix(1<<32-1, 0); expires.After(last) {
		return "", logservice.Invalidf("an account token cannot live longer than %s: its format ends there", last.UTC().Format(time.DateOnly))
	}
	return newAccountToken(account, expires, []byte(secret)), nil
}

// accountSum is HMAC-SHA256 of data, keyed with HMAC-SHA256 of data under the
// secret.
func accountSum(data, secret []byte) []byte {
	key := hmac.New(sha256.New, secret)
	key.Write(data)
	sum := hmac.New(sha256.New, key.Sum(nil))
	sum.Write(data)
	return sum.Sum(nil)
}

// parseAccountToken verifies an account token against each of the secrets. ok is
// false if none of them matches.
func parseAccountToken(s string, secrets [][]byte) (g Grant, ok bool) {
	data, sum, ok := splitAccountToken(s)
	if !ok {
		return Grant{}, false
	}
	good := 0
	for _, secret := range secrets {
		good |= subtle.ConstantTimeCompare(sum, accountSum(data, secret))
	}
	if good == 0 {
		return Grant{}, false
	}
	return accountGrant(data)
}

// splitAccountToken decodes a token, with or without its padding.
func splitAccountToken(s string) (data, sum []byte, ok bool) {
	b, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimRight(s, "="))
	if err != nil || len(b) <= expiryBytes+sumBytes {
		return nil, nil, false
	}
	n := len(b) - sumBytes
	return b[:n], b[n:], true
}

// accountGrant decodes the signed part of an account token.
func accountGrant(data []byte) (g Grant, ok bool) {
	account, err := logservice.ParseAccount(string(data[expiryBytes:]))
	return Grant{
		Account: account,
		Verbs:   Admin,
		Expires: time.Unix(int64(binary.BigEndian.Uint32(data)), 0),
		ID:      fingerprint(data),
	}, err == nil
}

// fingerprint identifies a token that has no ID.
func fingerprint(signed []byte) string {
	sum := sha256.Sum256(signed)
	return "sha256:" + hex.EncodeToString(sum[:16])
}
