//go:build linux

package bolt

import (
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"go.etcd.io/bbolt"
)

// TestTheRestOfADeletionGivesTheDiskBack deletes less than punchThreshold.
func TestTheRestOfADeletionGivesTheDiskBack(t *testing.T) {
	s, err := Open(diskFile(t), Options{Logger: slog.New(slog.DiscardHandler), pause: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	await(t, "reserve", s.reserved.Load)
	dir := filepath.Dir(s.path)
	storeMany(t, s, 600, 6000)
	full := onDisk(t, dir)
	if n, err := s.Expire(t.Context(), time.Now()); n != 600 || err != nil {
		t.Fatal(n, err)
	}
	if free := s.db.Load().db.Stats().FreePageN; free >= punchThreshold || free < 600 {
		t.Fatalf("%d pages are free: it proves nothing", free)
	}
	await(t, "less on the disk", func() bool { return onDisk(t, dir) < full-600*pageSize })
}

// TestTheListOfFreePagesIsThatOfBolt compares it with what bbolt says of each
// page.
func TestTheListOfFreePagesIsThatOfBolt(t *testing.T) {
	s := openStore(t, diskFile(t))
	storeMany(t, s, 400, 6000)
	for range 2 { // the second time it is empty again but for what bbolt needs
		if n, err := s.Expire(t.Context(), time.Now()); err != nil {
			t.Fatal(n, err)
		}
		h := s.db.Load()
		tx, err := h.db.Begin(true)
		if err != nil {
			t.Fatal(err)
		}
		got, _, err := freePages(h.file)
		if want := pagesOf(t, tx, func(kind string) bool { return kind == "free" }); err != nil || !slices.Equal(got, want) || len(got) == 0 {
			t.Errorf("%d free pages, %v; want %d", len(got), err, len(want))
		}
		if err := tx.Rollback(); err != nil {
			t.Fatal(err)
		}
		storeMany(t, s, 300, 3000)
	}
}

// pagesOf are the first pages of what is of some kinds.
func pagesOf(t *testing.T, tx *bbolt.Tx, is func(kind string) bool) (pages []int64) {
	t.Helper()
	for i := int64(0); i < tx.Size()/pageSize; i++ {
		p, err := tx.Page(int(i))
		if err != nil {
			t.Fatal(err)
		}
		if is(p.Type) {
			pages = append(pages, i)
		}
		if p.Type != "free" {
			i += int64(p.OverflowCount)
		}
	}
	return pages
}
