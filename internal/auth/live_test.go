package auth_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/auth"
)

func TestWhatBeganWithATokenEndsWhenItIsRevoked(t *testing.T) {
	list := filepath.Join(t.TempDir(), "revoked")
	v := newVerifier(t, auth.Config{Secret: secret, RevokedTokens: list})
	ended := map[string]chan struct{}{}
	for name, g := range map[string]auth.Grant{
		"revoked": {ID: "stolen"}, "exchanged from it": {ID: "x", From: "stolen"}, "another": {ID: "other"}, "stopped": {ID: "stolen"},
	} {
		c := make(chan struct{})
		ended[name] = c
		stop := v.OnRevoked(g, func() { close(c) })
		if name == "stopped" {
			stop()
		}
		defer stop()
	}
	if err := os.WriteFile(list, []byte("stolen\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"revoked", "exchanged from it"} {
		select {
		case <-ended[name]:
		case <-time.After(time.Minute):
			t.Errorf("%s: goes on", name)
		}
	}
	for _, name := range []string{"another", "stopped"} {
		select {
		case <-ended[name]:
			t.Errorf("%s: ended", name)
		default:
		}
	}
	// One that begins after the list was read.
	late := make(chan struct{})
	defer v.OnRevoked(auth.Grant{ID: "stolen"}, func() { close(late) })()
	select {
	case <-late:
	case <-time.After(time.Minute):
		t.Error("what begins later goes on")
	}
}

func TestATokenIsRevokedWithTheOneItWasExchangedFor(t *testing.T) {
	list := filepath.Join(t.TempDir(), "revoked")
	if err := os.WriteFile(list, []byte("stolen\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	v := newVerifier(t, auth.Config{Secret: secret, RevokedTokens: list})
	for id, ok := range map[string]bool{"stolen": false, "other": true} {
		token, err := v.Exchange(auth.Grant{Account: "A", Verbs: auth.Push, Identity: true, ID: id}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if g, err := v.Verify(t.Context(), token); (err == nil) != ok || ok && (g.From != id || g.ID == id) {
			t.Errorf("exchanged for %s: %+v, %v", id, g, err)
		}
	}
}

// Tokens that are not valid cost a peer its own service, and nobody else's.
func TestInvalidTokensOfAPeerAreLimited(t *testing.T) {
	v := newVerifier(t, auth.Config{Secret: secret})
	good, err := v.AccountToken("A")
	if err != nil {
		t.Fatal(err)
	}
	later, err := v.AccountToken("B")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		flood, other := auth.Peer("192.0.2.1:1"), auth.Peer("[2001:db8::1]:443")
		verify := func(peer netip.Addr, token string) error {
			_, err := v.VerifyFrom(t.Context(), peer, token)
			return err
		}
		if err := verify(flood, good); err != nil {
			t.Fatal(err)
		}
		refused := 0
		for n := range 1000 {
			switch err := verify(flood, fmt.Sprint("guess ", n)); {
			case errors.Is(err, logservice.ErrForbidden):
				refused++
			case !errors.Is(err, logservice.ErrUnavailable):
				t.Fatal(err)
			}
		}
		if refused != 50 {
			t.Errorf("%d invalid tokens verified at once, want 50", refused)
		}
		if err := verify(flood, later); !errors.Is(err, logservice.ErrUnavailable) {
			t.Error("a token that is not known yet:", err)
		}
		if err := errors.Join(verify(flood, good), verify(other, later), verify(netip.Addr{}, later)); err != nil {
			t.Error("known tokens, and other peers:", err)
		}
		time.Sleep(time.Second)
		if err := verify(flood, "another guess"); !errors.Is(err, logservice.ErrForbidden) {
			t.Error("a second later:", err)
		}
	})
}

func TestPeersAreCountedByTheirNetwork(t *testing.T) {
	for address, want := range map[string]string{
		"192.0.2.1:80": "192.0.2.1", "[::ffff:192.0.2.1]:80": "192.0.2.1", "[2001:db8:1:2:3:4:5:6]:80": "2001:db8:1:2::", "[fe80::1%eth0]:1": "fe80::",
		"127.0.0.1:1": "invalid IP", "[::1]:1": "invalid IP", "": "invalid IP", "@": "invalid IP", "pipe": "invalid IP",
	} {
		if got := auth.Peer(address).String(); got != want {
			t.Errorf("%q: %s, want %s", address, got, want)
		}
	}
}
