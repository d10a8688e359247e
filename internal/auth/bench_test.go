package auth_test

import (
	"testing"
	"time"

	"github.com/dchest/authcookie"

	"github.com/harness/log-service/internal/auth"
)

// BenchmarkVerify measures the cost of a token per request: on first use and on
// every later one.
func BenchmarkVerify(b *testing.B) {
	s, err := auth.NewSigner([]byte(secret))
	if err != nil {
		b.Fatal(err)
	}
	token, _, err := s.Sign(auth.Grant{Account: "A", Verbs: auth.Push, Expires: time.Now().Add(time.Hour)}, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	for name, token := range map[string]string{"account": authcookie.NewSinceNow("A", time.Hour, []byte(secret)), "scoped": token} {
		v := newVerifier(b, auth.Config{Secret: secret})
		b.Run(name+"/seen", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(name+"/first", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				fresh := newVerifier(b, auth.Config{Secret: secret})
				b.StartTimer()
				if _, err := fresh.Verify(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
