package s3test

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/harness/log-service/internal/proctest"
)

// Run starts a server that the test's end stops. Where its program is not
// installed, so is the test: see proctest.Missing.
func Run(t testing.TB, kind Kind) *Server {
	t.Helper()
	s, err := newAt(proctest.FreeAddr(t), kind, t.TempDir())
	if errors.Is(err, ErrMissing) {
		proctest.Missing(t, err.Error())
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	return s
}

var buckets atomic.Int64

// Bucket makes a bucket of its own for a test.
func (s *Server) Bucket(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("bucket-%d", buckets.Add(1))
	if err := s.MakeBucket(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return name
}
