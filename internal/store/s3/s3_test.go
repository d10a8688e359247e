package s3_test

import (
	"flag"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/s3"
	"github.com/harness/log-service/internal/store/s3/s3test"
	"github.com/harness/log-service/internal/store/storetest"
)

func TestMain(m *testing.M) {
	// Each step of the model is a request or two: a tenth of the usual runs.
	if err := flag.Set("rapid.checks", "10"); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func settings(srv *s3test.Server, bucket string) s3.Config {
	return s3.Config{
		Bucket: bucket, Endpoint: srv.Endpoint(), Addressing: s3.Paths,
		AccessKeyID: s3test.AccessKey, SecretAccessKey: s3test.SecretKey, Logger: slog.New(slog.DiscardHandler),
	}
}

func open(t testing.TB, c s3.Config) *s3.Store {
	t.Helper()
	s, err := s3.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStoreKeepsTheContract(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		for _, checksum := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, checksum %v", kind, checksum), func(t *testing.T) {
				ignore := goleak.IgnoreCurrent()
				t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
				srv := s3test.Run(t, kind)
				storetest.Run(t, func(t *testing.T) logs.Store {
					c := settings(srv, srv.Bucket(t))
					c.Prefix, c.Checksum = "/some/prefix/", checksum
					return open(t, c)
				}, storetest.Limits{ReadersEnd: true, ListsSizes: true})
			})
		}
	}
}
