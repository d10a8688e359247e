package reload_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/harness/log-service/internal/reload"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// file is a file whose content is its value; reading it fails with err.
type file struct {
	path string
	err  error
	log  bytes.Buffer
	*reload.Files[string]
}

func open(t *testing.T, path string) *file {
	t.Helper()
	f := &file{path: path}
	var err error
	f.Files, err = reload.New(slog.New(slog.NewTextHandler(&f.log, nil)), func(paths []string) (*string, error) {
		text, err := os.ReadFile(paths[0])
		content := string(text)
		return &content, errors.Join(err, f.err)
	}, path)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAFileRenamedOverAnotherIsReadAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	next := path + ".next"
	at := time.Now()
	write(t, path, "old")
	write(t, next, "new")
	for _, p := range []string{path, next} { // only the inode differs
		if err := os.Chtimes(p, at, at); err != nil {
			t.Fatal(err)
		}
	}
	f := open(t, path)
	if err := os.Rename(next, path); err != nil {
		t.Fatal(err)
	}
	if got := *f.Get(time.Now()); got != "old" {
		t.Errorf("within the interval: %q", got)
	}
	if got := *f.Get(time.Now().Add(time.Minute)); got != "new" {
		t.Errorf("after it: %q", got)
	}
}

func TestAFileThatCannotBeReadIsTriedAgainAndLoggedOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	write(t, path, "old")
	f := open(t, path)
	write(t, path, "changed")
	f.err = errors.New("too many open files")
	now := time.Now()
	for range 3 {
		now = now.Add(time.Minute)
		if got := *f.Get(now); got != "old" {
			t.Fatal(got)
		}
	}
	if n := strings.Count(f.log.String(), "cannot reload"); n != 1 {
		t.Errorf("logged %d times: %s", n, f.log.String())
	}
	f.err = nil // the file has not changed since
	if got := *f.Get(now.Add(time.Minute)); got != "changed" {
		t.Errorf("once it can be read: %q", got)
	}
}
