package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/dchest/authcookie"

	logservice "github.com/harness/log-service"
)

const fuzzSecret = "a secret of the fuzz tests, long enough"

// FuzzToken checks that nothing panics, that errors are those of package
// logservice, and that an accepted token is one that the reference implementation
// accepts or that the test signed.
func FuzzToken(f *testing.F) {
	s, err := NewSigner([]byte(fuzzSecret))
	if err != nil {
		f.Fatal(err)
	}
	for _, g := range []Grant{
		{Account: "A", Verbs: Push | Tail, Prefix: "p/1", Expires: time.Now().Add(time.Hour)},
		{AllAccounts: true, Verbs: Admin, Expires: time.Now().Add(time.Hour)},
		{Account: "A", Verbs: Read, Expires: time.Now().Add(-time.Hour)},
	} {
		token, _, err := s.Sign(g, time.Now())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(token)
		f.Add(token[:len(token)/2])
		f.Add(strings.ToUpper(token))
	}
	for _, token := range []string{
		authcookie.NewSinceNow("A", time.Hour, []byte(fuzzSecret)), authcookie.NewSinceNowNoPadding("B", time.Hour, []byte(fuzzSecret)),
		authcookie.NewSinceNow("A", -time.Hour, []byte(fuzzSecret)), "", ".", "..", "a.b.c", "====", "eyJhbGciOiJub25lIn0.e30.", strings.Repeat("A", 100),
		"eyJhbGciOiJIUzI1NiIsImtpZCI6WzFdfQ.e30.x", "eyJhbGciOiJFZERTQSJ9.bnVsbA.x",
	} {
		f.Add(token)
	}
	v, err := New(Config{Secret: fuzzSecret, Logger: slog.New(slog.DiscardHandler),
		OIDC: OIDC{Issuer: "http://127.0.0.1:1", Audience: "a", Account: "{sub}", Verbs: Push}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, token string) {
		i, err := Inspect(token)
		if err != nil && !errors.Is(err, logservice.ErrInvalid) {
			t.Errorf("Inspect: %v", err)
		}
		g, err := v.Verify(t.Context(), token)
		if err != nil {
			if !errors.Is(err, logservice.ErrForbidden) && !errors.Is(err, logservice.ErrUnauthorized) && !errors.Is(err, logservice.ErrUnavailable) {
				t.Errorf("Verify: %v", err)
			}
			return
		}
		if !signedHS256(token) && authcookie.Login(token, []byte(fuzzSecret)) != g.Account {
			t.Errorf("%q counts as %+v", token, g)
		}
		if i.Grant.Account != g.Account || i.Grant.Prefix != g.Prefix || i.Grant.Verbs != g.Verbs || i.Grant.ID != g.ID {
			t.Errorf("what is verified, %+v, is not what is inspected, %+v", g, i.Grant)
		}
	})
}

// signedHS256 verifies a token as in RFC 7515, appendix A.1.
func signedHS256(token string) bool {
	i := strings.LastIndexByte(token, '.')
	if i < 0 {
		return false
	}
	h := hmac.New(sha256.New, []byte(fuzzSecret))
	h.Write([]byte(token[:i]))
	return token[i+1:] == base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// FuzzTemplate: two identities with different claims never get the same name.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"{a}/{b}", "x-{a}/y/{b}-z", "{b}/{a}", "{a}", "github/{b}", "a{b}c", "{{", "{a}{b}", "", "/", "{a}/"} {
		f.Add(s, "1", "2", "1/2", "")
		f.Add(s, "a", "b/c", "a/b", "c")
		f.Add(s, "..", "x", "-", "z/")
	}
	f.Fuzz(func(t *testing.T, text, a1, b1, a2, b2 string) {
		p, err := parseTemplate(text)
		if err != nil || p.sample() == "" {
			return
		}
		fill := func(a, b string) (string, error) {
			return p.fill(func(name string) (string, bool) { v, ok := map[string]string{"a": a, "b": b}[name]; return v, ok })
		}
		one, err1 := fill(a1, b1)
		two, err2 := fill(a2, b2)
		if err1 != nil || err2 != nil || one != two {
			return
		}
		for _, part := range p.parts {
			if part.claim == "a" && a1 != a2 || part.claim == "b" && b1 != b2 {
				t.Errorf("%q makes %q of both (%q, %q) and (%q, %q)", text, one, a1, b1, a2, b2)
			}
		}
	})
}

// FuzzRevoked: a list is accepted or rejected as a whole, and exactly the IDs in
// it are revoked.
func FuzzRevoked(f *testing.F) {
	for _, s := range []string{"", "a\nb\n", "# c\na # b\n\n  d  e\r\nf", strings.Repeat("x", 300), "\x00\n\xff"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		set := revokedSet{}
		if set.parse(text) != nil {
			return
		}
		for id := range set {
			if id == "" || len(id) > maxTokenID || strings.ContainsAny(id, "# \t\n") {
				t.Errorf("%q is no name of a token", id)
			}
		}
	})
}

// FuzzIssuerKeys: only public keys are accepted, whatever an issuer publishes.
func FuzzIssuerKeys(f *testing.F) {
	for _, s := range []string{
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"k"}]}`,
		`{"keys":[{"kty":"oct","k":"AAAA"}]}`, `{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`, `{"keys":null}`, `[]`, `{`, `{"keys":[1]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		keys, err := parseKeys(body)
		if (err == nil) != (len(keys) > 0) {
			t.Errorf("%d keys and %v", len(keys), err)
		}
		for _, k := range keys {
			if !k.IsPublic() {
				t.Errorf("%T is not public", k.Key)
			}
		}
	})
}
