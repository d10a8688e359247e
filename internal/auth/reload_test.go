package auth_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dchest/authcookie"

	"github.com/harness/log-service/internal/auth"
)

// await retries until f is true, for longer than files stay unchecked.
func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(time.Minute); time.Now().Before(limit); <-tick.C {
		if f() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func TestARevokedTokenIsRefused(t *testing.T) {
	list := filepath.Join(t.TempDir(), "revoked")
	var log strings.Builder // written by Verify
	v := newVerifier(t, auth.Config{Secret: secret, RevokedTokens: list, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	s, err := auth.NewSigner([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	first, g := sign(t, s, scoped(time.Hour))
	second, _ := sign(t, s, scoped(time.Hour))
	cookie := authcookie.NewSinceNow("A", time.Hour, []byte(secret))
	named := accepted(t, v, "an account token", cookie)
	accepted(t, v, "before the list exists", first)
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(list, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	good := func(token string) func() bool {
		return func() bool { _, err := v.Verify(t.Context(), token); return err == nil }
	}
	bad := func(token string) func() bool { return func() bool { return !good(token)() } }

	write("# stolen\n" + g.ID + " # by whom?\n\n" + named.ID + "\n")
	await(t, "revoked", bad(first))
	refused(t, v, "a revoked one", first, "revoked")
	refused(t, v, "a revoked account token", cookie, "revoked")
	refused(t, v, "the same without padding", strings.TrimRight(cookie, "="), "revoked")
	accepted(t, v, "another one", second)

	// A line that is none does not keep the others from counting.
	write(strings.Repeat("x", 300) + "\n" + g.ID + "\n")
	await(t, "the bad line is reported", func() bool { return bad(first)() && strings.Contains(log.String(), "is no token id") })
	refused(t, v, "after the bad line", first, "revoked")
	await(t, "the account token is taken back", good(cookie))

	// Without a list that can be read, the last one remains in force.
	for what, lose := range map[string]func() error{
		"missing":  func() error { return os.Rename(list, list+".away") },
		"a folder": func() error { return errors.Join(os.Rename(list, list+".away"), os.Mkdir(list, 0o700)) },
	} {
		log.Reset()
		if err := lose(); err != nil {
			t.Fatal(err)
		}
		await(t, "it is noticed that the list is "+what, func() bool {
			refused(t, v, "while the list is "+what, first, "revoked")
			return strings.Contains(log.String(), "previous content stays in use")
		})
		refused(t, v, "after the list was found to be "+what, first, "revoked")
		_ = os.Remove(list)
		if err := os.Rename(list+".away", list); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	await(t, "taken back", good(first))
}

func TestKeysChangeWithTheirFile(t *testing.T) {
	ed, rs, _ := newKeys(t)
	oldSigner, file := signer(t, ed)
	newSigner, newFile := signer(t, rs)
	v := newVerifier(t, auth.Config{JWTKeys: []string{file}})
	old, _ := sign(t, oldSigner, scoped(time.Hour))
	young, _ := sign(t, newSigner, scoped(time.Hour))
	accepted(t, v, "the old key's", old)
	refused(t, v, "a key that is not there yet", young, "no key of it fits")
	write := func(b []byte) {
		t.Helper()
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(append(pemOf(t, file), pemOf(t, newFile)...))
	await(t, "the new key counts", func() bool { _, err := v.Verify(t.Context(), young); return err == nil })
	accepted(t, v, "the old key's, beside the new one", old)
	write(pemOf(t, newFile))
	await(t, "the old key counts no more", func() bool { _, err := v.Verify(t.Context(), old); return err != nil })
	accepted(t, v, "the new key's", young)
}

func TestFilesThatHoldNoKeysAreRefusedAtTheStart(t *testing.T) {
	_, weak, _ := newKeys(t)
	private, err := x509.MarshalPKCS8PrivateKey(weak)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for path, why := range map[string]string{
		filepath.Join(dir, "missing"): "no such file",
		dir:                           "not a file",
		file("empty", ""):             "no PEM block",
		file("long", strings.Repeat("x", 65<<10)):                                                         "at most",
		file("private", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}))):      "does not belong to a server",
		file("broken", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: []byte("x")}))):    "asn1",
		file("broken cert", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte{}}))): "x509",
		publicFile(t, small): "too weak",
		publicFile(t, p384):  "verifies no tokens",
	} {
		if _, err := auth.New(auth.Config{JWTKeys: []string{path}}); err == nil || !strings.Contains(err.Error(), why) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v; want an error that names it and says %q", path, err, why)
		}
	}
}
