package stream

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	logservice "github.com/harness/log-service"
)

// hanging is a folder whose syncs wait for a channel.
type hanging struct {
	*disk
	release atomic.Pointer[chan struct{}]
}

type hangingFile struct {
	file
	h *hanging
}

func (h *hanging) create(name string, size int64) (file, error) {
	f, err := h.disk.create(name, size)
	return &hangingFile{f, h}, err
}

func (f *hangingFile) Sync() error {
	if c := f.h.release.Load(); c != nil {
		<-*c
	}
	return f.file.Sync()
}

func TestADiskThatHangsIsReportedAndBlocksNothingForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hanging{disk: newDisk()}
		e := openOn(t, h, 16<<10)
		mustOpen(t, e, "k")
		mustAppend(t, e, "k", 1, 3)
		synctest.Wait()
		time.Sleep(time.Second) // of the bubble: the roster is written
		release := make(chan struct{})
		h.release.Store(&release)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		if _, err := e.Append(ctx, id("k"), lines("k", 4, 1)); !errors.Is(err, logservice.ErrUnavailable) {
			t.Fatalf("an append to a disk that hangs answers %v", err)
		}
		if err := e.Check(t.Context()); err != nil {
			t.Fatalf("after 3 s already: %v", err)
		}
		time.Sleep(hangTime)
		if err := e.Check(t.Context()); !errors.Is(err, logservice.ErrUnavailable) || !strings.Contains(err.Error(), "hangs") {
			t.Fatalf("the health of a disk that hangs: %v", err)
		}
		began := time.Now()
		if err := e.Stop(); err == nil {
			t.Fatal("Stop reports that all is written")
		}
		if took := time.Since(began); took > 17*time.Second {
			t.Fatalf("Stop took %s", took)
		}
		close(release)
		synctest.Wait()
	})
}
