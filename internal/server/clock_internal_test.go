package server

import (
	"os"
	"path/filepath"
	"testing"
	"time"
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
