package server_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harness/log-service/client"
)

// TestADamagedCatalogDoesNotAffectLiveLogs overwrites the catalog of finished
// logs: a header, all of it, or nothing is left.
func TestADamagedCatalogDoesNotAffectLiveLogs(t *testing.T) {
	noise := make([]byte, 300<<10)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	for name, damage := range map[string]func(path string) error{
		"a header":  func(path string) error { return overwrite(path, 4096) },
		"all of it": func(path string) error { return overwrite(path, 1<<20) },
		"missing":   os.Remove,
	} {
		t.Run(name, func(t *testing.T) {
			config := settings(t.TempDir())
			srv := start(t, config)
			if err := newClient(t, srv.URL()).Upload(t.Context(), "finished", strings.NewReader(string(noise))); err != nil {
				t.Fatal(err)
			}
			srv.ended(t)
			if err := damage(config.BoltPath); err != nil {
				t.Fatal(err)
			}
			srv = start(t, config)
			c := newClient(t, srv.URL())
			if err := c.Open(t.Context(), "live"); err != nil {
				t.Fatal(err)
			}
			if _, err := c.AppendBody(t.Context(), "live", client.Text, []byte("one\ntwo\n")); err != nil {
				t.Fatal(err)
			}
			log, err := c.Download(t.Context(), "finished") // retries while the catalog is rebuilt
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(log)
			if err = errors.Join(err, log.Close()); err != nil || string(got) != string(noise) {
				t.Errorf("the finished log has %d bytes, %v", len(got), err)
			}
			if err := c.Close(t.Context(), "live"); err != nil {
				t.Error(err)
			}
			srv.ended(t)
			kept, _ := filepath.Glob(config.BoltPath + ".damaged-*")
			if want := name != "missing"; (len(kept) == 1) != want {
				t.Errorf("the damaged catalog is kept as %v", kept)
			}
		})
	}
}

func overwrite(path string, n int) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(make([]byte, n), 0)
	return errors.Join(err, f.Close())
}
