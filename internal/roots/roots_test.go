//go:build linux

package roots

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/harness/log-service/internal/tlstest"
)

// The system's authorities are those of the file that SSL_CERT_FILE names. It
// is read once per process, so that this is the only test which sets it.
func TestAFileAddsToTheAuthoritiesOfTheSystem(t *testing.T) {
	system, private := tlstest.NewAuthority(t), tlstest.NewAuthority(t)
	t.Setenv("SSL_CERT_DIR", t.TempDir())
	t.Setenv("SSL_CERT_FILE", write(t, system.PEM))
	pool, err := With(write(t, private.PEM))
	if err != nil {
		t.Fatal(err)
	}
	if got := len(pool.Subjects()); got != 2 { //nolint:staticcheck // the pool is not the system's own
		t.Errorf("%d authorities, want that of the system and that of the file", got)
	}
}

func TestAFileWithoutACertificateIsRefused(t *testing.T) {
	if _, err := With(write(t, []byte("no PEM"))); err == nil {
		t.Error("a file that holds no certificate is taken")
	}
	if _, err := With(filepath.Join(t.TempDir(), "missing")); !os.IsNotExist(err) {
		t.Errorf("a missing file: %v", err)
	}
}

func write(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
