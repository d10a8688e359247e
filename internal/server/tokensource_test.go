package server_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/harness/log-service/client"
	"github.com/harness/log-service/client/rpc"
	"github.com/harness/log-service/internal/auth"
)

// TestAnExpiredTokenIsRenewedByItsSource works with a source that returns an expired
// token now and then, as one does that looks at another clock.
func TestAnExpiredTokenIsRenewedByItsSource(t *testing.T) {
	c := settings(t.TempDir())
	c.GRPCBind, c.Auth.Secret = "127.0.0.1:0", secret
	srv := start(t, c)
	signer, err := auth.NewSigner([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	sign := func(expires time.Time) string {
		token, _, err := signer.Sign(auth.Grant{Account: "acme", Verbs: auth.Admin, Expires: expires}, time.Now().Add(-2*time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	expired, valid := sign(time.Now().Add(-time.Hour)), sign(time.Now().Add(time.Hour))
	for _, url := range []string{srv.URL(), srv.GRPCURL()} {
		var calls atomic.Int64
		source := func(context.Context) (string, error) {
			if calls.Add(1)%2 == 1 {
				return expired, nil
			}
			return valid, nil
		}
		c, err := client.New(url, client.WithAccount("acme"), client.WithTokenSource(source), rpc.Transport())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.CloseIdleConnections)
		w := c.Writer(t.Context(), "a/b", client.AutoOpen())
		for n := range 3 {
			fmt.Fprintln(w, n)
			if err := w.Flush(t.Context()); err != nil {
				t.Errorf("%s: %v", url, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Errorf("%s: %v", url, err)
		}
		text := ""
		for l, err := range c.Lines(t.Context(), "a/b") {
			if err != nil {
				t.Fatalf("%s: %v", url, err)
			}
			text += l.Out
		}
		if text != "0\n1\n2\n" || calls.Load() < 4 {
			t.Errorf("%s: the log is %q, after %d tokens", url, text, calls.Load())
		}
		if err := c.Close(t.Context(), "a/b"); err != nil {
			t.Errorf("%s: %v", url, err)
		}
	}
}
