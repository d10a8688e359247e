package httpapi_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	httpapi "github.com/harness/log-service/internal/api/http"
	"github.com/harness/log-service/internal/auth"
)

// What is going on with a token ends when it is revoked: tails, also by ticket, and
// uploads. A client that comes back is refused.
func TestWhatATokenBeganEndsWhenItIsRevoked(t *testing.T) {
	list := filepath.Join(t.TempDir(), "revoked")
	v, err := auth.New(auth.Config{Secret: testSecret, RevokedTokens: list})
	if err != nil {
		t.Fatal(err)
	}
	s := startServer(t, httpapi.Config{Auth: v})
	made := func(id string) []string {
		return []string{"X-Harness-Token", tokenFor(t, testSecret, auth.Grant{Account: "A", Verbs: auth.Admin, ID: id})}
	}
	target := "/stream?accountID=A&key=k"
	s.must(204, "POST", target, "", made("other")...)
	ticketed := func(id string) string {
		var ticket struct{ Ticket string }
		if err := json.Unmarshal([]byte(s.do("POST", "/stream/ticket?accountID=A&key=k", nil, made(id)...).body), &ticket); err != nil || ticket.Ticket == "" {
			t.Fatal(err, ticket)
		}
		return target + "&ticket=" + url.QueryEscape(ticket.Ticket)
	}
	late := ticketed("stolen")
	tails := map[string]*tailer{"a tail": s.tail(target, made("stolen")...), "a tail by ticket": s.tail(ticketed("stolen"))}
	others := map[string]*tailer{"a tail": s.tail(target, made("other")...), "a tail by ticket": s.tail(ticketed("other"))}
	for _, all := range []map[string]*tailer{tails, others} {
		for _, r := range all {
			r.sees(ping)
		}
	}
	body, upload := io.Pipe()
	uploaded := make(chan answer, 1)
	go func() {
		a, err := s.try("POST", "/blob?accountID=A&key=u", body, made("stolen")...)
		if err != nil {
			a.body = err.Error()
		}
		uploaded <- a
	}()
	if _, err := io.WriteString(upload, "the first part"); err != nil {
		t.Fatal(err)
	}

	if err := os.WriteFile(list, []byte("stolen\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, r := range tails {
		if rest, _ := io.ReadAll(r.body); string(rest) != "" {
			t.Errorf("%s got %q", name, rest)
		}
	}
	a := <-uploaded
	if a.status != http.StatusForbidden {
		t.Errorf("an upload: %d %s", a.status, a.body)
	}
	_ = upload.Close()
	s.must(404, "GET", "/blob?accountID=A&key=u", "", made("other")...)
	if a := s.do("GET", late, nil); a.status != http.StatusForbidden {
		t.Errorf("a ticket of a revoked token: %d %s", a.status, a.body)
	}
	s.must(204, "PUT", target, `[{"out":"x"}]`, made("other")...)
	for _, r := range others {
		r.sees("id: 1\n")
	}
}
