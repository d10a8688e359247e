package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
	"github.com/harness/log-service/internal/store/bolt"
)

func TestTheRetentionsClockIsKept(t *testing.T) {
	d := &folder{path: t.TempDir()}
	if c, err := d.LoadClock(); err != nil || c != (service.Clock{}) {
		t.Errorf("of a new folder: %v, %v", c, err)
	}
	want := service.Clock{At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Jump: 90 * time.Minute}
	if err := d.SaveClock(want); err != nil {
		t.Fatal(err)
	}
	if c, err := d.LoadClock(); err != nil || c != want {
		t.Errorf("%v, %v; want %v", c, err, want)
	}
	for _, damaged := range []string{"soon", "2026-01-02T03:04:05Z soon"} {
		if err := os.WriteFile(filepath.Join(d.path, clockFile), []byte(damaged), 0o600); err != nil {
			t.Fatal(err)
		}
		if c, err := d.LoadClock(); err == nil {
			t.Errorf("%q is read as %v", damaged, c)
		}
	}
}

func TestALogStoredWhileTheClockIsSlowIsNotOld(t *testing.T) {
	d := &folder{path: t.TempDir()}
	reached := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	if err := d.SaveClock(service.Clock{At: reached}); err != nil {
		t.Fatal(err)
	}
	wall := time.Unix(0, 0)
	s, err := bolt.Open(filepath.Join(d.path, "blobs.db"), bolt.Options{Now: d.notBefore(func() time.Time { return wall })})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	id := logservice.ID{Account: "a", Key: "k"}
	if err := s.Put(t.Context(), id, strings.NewReader("line\n"), logs.BlobInfo{}); err != nil {
		t.Fatal(err)
	}
	if n, err := s.Expire(t.Context(), reached.Add(-time.Hour)); n != 0 || err != nil {
		t.Fatalf("%d logs deleted, %v", n, err)
	}
	b, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if at := b.Info().Modified; at.Before(reached) {
		t.Fatalf("stored at %v", at)
	}
	wall = reached.Add(24 * time.Hour)
	if got := d.notBefore(func() time.Time { return wall })(); !got.Equal(wall) {
		t.Fatalf("a clock that is ahead reads %v, not %v", got, wall)
	}
}
