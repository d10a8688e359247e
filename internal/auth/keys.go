package auth

import (
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"

	logservice "github.com/harness/log-service"
)

const (
	// minRSABits is the minimum for RSA signatures in NIST SP 800-131A.
	minRSABits = 2048
	// maxKeys limits the keys that are tried for one token: a rotation
	// needs two, and a bad token costs one verification per key.
	maxKeys = 16
	// maxKeyFile limits a file of keys; sixteen keys of 8192 bits fit.
	maxKeyFile = 64 << 10
)

// keySet holds the keys that may have signed a JSON web token.
type keySet struct{ keys []verifyKey }

type verifyKey struct {
	id     string // kid
	method string
	key    any // in the type that package jwt expects
}

func newKeySet(secrets [][]byte, public []crypto.PublicKey) (*keySet, error) {
	set := &keySet{}
	for _, s := range secrets {
		set.keys = append(set.keys, verifyKey{secretID(s), "HS256", s})
	}
	for _, p := range public {
		method, err := methodOf(p)
		if err != nil {
			return nil, err
		}
		set.keys = append(set.keys, verifyKey{keyID(p), method, p})
	}
	if len(set.keys) > maxKeys {
		return nil, logservice.Invalidf("%d secrets and keys to verify tokens with: at most %d", len(set.keys), maxKeys)
	}
	return set, nil
}

// keyID identifies a public key by the start of the SHA-256 of its DER form.
func keyID(p crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(p)
	if err != nil {
		return ""
	}
	return shortID(der)
}

// secretID identifies a secret in the tokens that it signs. The hash has a label,
// so that it cannot coincide with a checksum made with the secret.
func secretID(secret []byte) string {
	return shortID(append([]byte("log-service secret name\x00"), secret...))
}

func shortID(b []byte) string {
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// ReadPublicKeys reads the public keys and certificates in a PEM file.
func ReadPublicKeys(path string) (keys []crypto.PublicKey, err error) {
	blocks, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	for _, b := range blocks {
		var key any
		switch b.Type {
		case "PUBLIC KEY":
			key, err = x509.ParsePKIXPublicKey(b.Bytes)
		case "RSA PUBLIC KEY":
			key, err = x509.ParsePKCS1PublicKey(b.Bytes)
		case "CERTIFICATE":
			var c *x509.Certificate
			if c, err = x509.ParseCertificate(b.Bytes); err == nil {
				key = c.PublicKey
			}
		default:
			return nil, fmt.Errorf("%s: a %s does not belong to a server: write public keys, as openssl pkey -pubout does", path, b.Type)
		}
		if err == nil {
			_, err = methodOf(key)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		keys = append(keys, key)
	}
	return keys, nil
}

// ReadPrivateKey reads the private key in a PEM file, for NewSigner.
func ReadPrivateKey(path string) (any, error) {
	blocks, err := readPEM(path)
	if err != nil {
		return nil, err
	}
	for _, b := range blocks {
		var key any
		switch b.Type {
		case "PRIVATE KEY":
			key, err = x509.ParsePKCS8PrivateKey(b.Bytes)
		case "RSA PRIVATE KEY":
			key, err = x509.ParsePKCS1PrivateKey(b.Bytes)
		case "EC PRIVATE KEY":
			key, err = x509.ParseECPrivateKey(b.Bytes)
		default:
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return key, nil
	}
	return nil, fmt.Errorf("%s: no private key in it: make one with openssl genpkey -algorithm ed25519", path)
}

func readPEM(path string) (blocks []*pem.Block, err error) {
	text, err := readSmall(path, maxKeyFile)
	if err != nil {
		return nil, err
	}
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			break
		}
		blocks = append(blocks, b)
	}
	if len(blocks) == 0 {
		return nil, fmt.Errorf("%s: no PEM block in it", path)
	}
	return blocks, nil
}

// readSmall reads a file, up to most bytes.
func readSmall(path string, most int64) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s: not a file", path)
	case info.Size() > most:
		return nil, fmt.Errorf("%s: %d bytes, at most %d", path, info.Size(), most)
	}
	return os.ReadFile(path)
}
