package stream

import (
	"errors"
	"math/rand/v2"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// The server that replaces a log must know that no crash brings the old one
// back: neither if it deleted the stream itself, nor if the archiver did so a
// moment ago, without waiting for the disk.
func TestWhatTakeFindsDeletedOrDeletesStaysDeletedAfterACrash(t *testing.T) {
	for round := range uint64(200) {
		d := newDisk()
		e := openOn(t, d, 4<<10)
		ctx := t.Context()
		if err := e.Open(ctx, id("k"), logs.OpenOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(ctx, id("k"), logs.Closing{}); err != nil {
			t.Fatal(err)
		}
		archiver, err := e.Claim(ctx, id("k"))
		if err != nil {
			t.Fatal(err)
		}
		taken, err := e.Take(ctx, id("k"))
		if err != nil {
			t.Fatal(err)
		}
		switch round % 3 {
		case 0:
			err = taken.Delete(ctx)
		case 1: // the archiver was faster
			if err = archiver.Delete(ctx); err == nil {
				err = taken.Delete(ctx)
			}
		case 2: // and the stream was not taken
			if err = archiver.Delete(ctx); err == nil {
				_, err = e.Take(ctx, id("k"))
			}
		}
		if round%3 != 0 && errors.Is(err, logservice.ErrStreamNotFound) {
			err = nil
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := archiver.Commit(ctx); !errors.Is(err, logservice.ErrStreamNotFound) {
			t.Fatalf("an archive of the deleted stream may be stored: %v", err)
		}
		after := openOn(t, d.crash(rand.New(rand.NewPCG(round, 1))), 4<<10)
		if info, err := after.Stat(ctx, id("k")); !errors.Is(err, logservice.ErrStreamNotFound) {
			t.Fatalf("round %d: the deleted stream is back: %+v, %v", round, info, err)
		}
		_, _ = after.Stop(), e.Stop()
	}
}
