//go:build linux

package bolt

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"syscall"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/proctest"
	"github.com/harness/log-service/internal/store/storetest"
)

func openFaulty(t *testing.T, d *faultDisk) *Store {
	t.Helper()
	s, err := Open(dataFile(t), Options{Logger: slog.New(slog.DiscardHandler), disk: d, pause: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestADiskThatHangsIsReportedAndDoesNotKeepClose(t *testing.T) {
	d := &faultDisk{}
	s := openFaulty(t, d)
	await(t, "reserve", s.reserved.Load)
	put(t, s, storetest.ID("acc", "log"), []byte("small"))
	hang := make(chan struct{})
	d.stall(hang)
	done := make(chan error, 1)
	go func() {
		done <- s.Put(t.Context(), storetest.ID("acc", "large"), bytes.NewReader(storetest.Noise(chunkSize)), logs.BlobInfo{})
	}()
	await(t, "write under way", func() bool { return s.watch.oldest() > 0 })
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("at once: %v", err)
	}
	// The same, ten seconds later.
	s.watch.mu.Lock()
	for n, at := range s.watch.begun {
		s.watch.begun[n] = at.Add(-hangTime - time.Second)
	}
	s.watch.mu.Unlock()
	if err := s.Check(t.Context()); !errors.Is(err, logservice.ErrUnavailable) || !strings.Contains(err.Error(), "has not answered for 11 s") {
		t.Errorf("after ten seconds: %v", err)
	}
	mustHold(t, s, storetest.ID("acc", "log"), []byte("small")) // reads go on
	close(hang)
	<-done
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("once it answers again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCloseEndsWithinSecondsWhileTheDiskHangs(t *testing.T) {
	d := &faultDisk{}
	s := openFaulty(t, d)
	await(t, "reserve", s.reserved.Load)
	hang := make(chan struct{})
	d.stall(hang)
	s.writeFailed(syscall.EIO) // the upkeep tries whether the disk works, and hangs
	await(t, "probe under way", func() bool { return s.watch.oldest() > 0 })
	clock := proctest.StartClock(t)
	err := s.Close()
	if took := clock.Elapsed(); took > 2*closeWait || err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("Close took %v and returned %v", took, err)
	}
	if _, err := s.Get(t.Context(), crashID); !errors.Is(err, logservice.ErrUnavailable) {
		t.Errorf("Get after Close: %v", err)
	}
	close(hang)
	<-s.maintenanceDone
}

func TestAReadErrorIsDamageOfThatBlobAndATransientOneIsNot(t *testing.T) {
	var alarms bytes.Buffer
	d := &faultDisk{}
	s, err := Open(dataFile(t), Options{Logger: slog.New(slog.NewTextHandler(&alarms, nil)), disk: d, pause: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "reserve", s.reserved.Load)
	content := storetest.Noise(3 * chunkSize)
	for _, key := range []string{"log", "neighbour"} {
		put(t, s, storetest.ID("acc", key), content)
	}
	for _, c := range []struct {
		err     error
		at      int // open, footer, table, chunk 0, chunk 1
		damaged bool
	}{
		{syscall.EIO, 1, true}, {syscall.EIO, 2, true}, {syscall.EIO, 3, true}, {syscall.EIO, 5, true},
		{io.ErrUnexpectedEOF, 5, true}, {syscall.EMFILE, 1, false}, {syscall.ENOMEM, 5, false},
	} {
		d.mu.Lock()
		d.err = c.err
		d.mu.Unlock()
		d.arm(c.at)
		var got []byte
		err := readBlob(t.Context(), s, "log", &got)
		if _, hit := d.arm(0); hit == "" || err == nil {
			t.Errorf("%v at %d: nothing failed", c.err, c.at)
		}
		if errors.Is(err, logs.ErrDamaged) != c.damaged || errors.Is(err, logservice.ErrUnavailable) == c.damaged {
			t.Errorf("%v at %d: %v", c.err, c.at, err)
		}
		if !bytes.HasPrefix(content, got) {
			t.Errorf("%v at %d: other bytes", c.err, c.at)
		}
		mustHold(t, s, storetest.ID("acc", "neighbour"), content)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("one damaged blob makes the store unfit: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(alarms.String(), "cannot be read as it was written"); n != 1 || !strings.Contains(alarms.String(), "level=ERROR") {
		t.Errorf("%d alarms, want one: %s", n, alarms.String())
	}
}

func TestAFailedSyncIsReportedUntilAWriteSucceeds(t *testing.T) {
	d := &faultDisk{err: syscall.EIO}
	s, err := Open(dataFile(t), Options{Logger: slog.New(slog.DiscardHandler), disk: d, pause: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	await(t, "reserve", s.reserved.Load)
	d.arm(4) // create, chunk, trailer, sync
	err = s.Put(t.Context(), storetest.ID("acc", "log"), bytes.NewReader(storetest.Noise(chunkSize)), logs.BlobInfo{})
	if _, hit := d.arm(0); hit != "sync" || !errors.Is(err, logservice.ErrUnavailable) {
		t.Fatalf("%s failed: %v", hit, err)
	}
	if err := s.Check(t.Context()); err == nil || !strings.Contains(err.Error(), "a write of the blob store failed") || strings.Contains(err.Error(), s.folder) {
		t.Errorf("after a failed sync: %v", err)
	}
	if n := len(fileNames(t, s.path)); n != 0 {
		t.Errorf("%d files are left", n)
	}
	s.probe() // as the upkeep does
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("after a write that succeeded: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
