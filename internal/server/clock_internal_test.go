package server

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/bolt"
)

func TestTheRetentionsClockIsKept(t *testing.T) {
	d := &folder{path: t.TempDir()}
	if at, err := d.LoadClock(); err != nil || !at.IsZero() {
		t.Errorf("of a new folder: %v, %v", at, err)
	}
	want := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if err := d.SaveClock(want); err != nil {
		t.Fatal(err)
	}
	if at, err := d.LoadClock(); err != nil || !at.Equal(want) {
		t.Errorf("%v, %v; want %v", at, err, want)
	}
	if err := os.WriteFile(filepath.Join(d.path, clockFile), []byte("soon"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := d.LoadClock(); err == nil {
		t.Error("a damaged file is believed")
	}
}

func TestALogStoredWhileTheClockIsSlowIsNotOld(t *testing.T) {
	d := &folder{path: t.TempDir()}
	reached := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	if err := d.SaveClock(reached); err != nil {
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
