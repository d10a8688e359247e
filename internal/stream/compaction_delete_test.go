package stream

import (
	"encoding/base64"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/harness/log-service/internal/logs"
)

// gate is the real folder, whose disk may be full, and where a read of a file
// can be made to wait for something else to happen first.
type gate struct {
	*directory

	mu     sync.Mutex // guards the fields below
	full   bool
	name   string // of the file whose next read waits
	before func() // what it waits for; nil: nothing
}

func newGate(t *testing.T) *gate {
	t.Helper()
	d, err := openDirectory(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return &gate{directory: d}
}

func (g *gate) setFull(full bool) {
	g.mu.Lock()
	g.full = full
	g.mu.Unlock()
}

// beforeRead calls fn once, when the file is read next.
func (g *gate) beforeRead(name string, fn func()) {
	g.mu.Lock()
	g.name, g.before = name, fn
	g.mu.Unlock()
}

func (g *gate) create(name string, size int64) (file, error) {
	g.mu.Lock()
	full := g.full
	g.mu.Unlock()
	if full {
		return nil, syscall.ENOSPC
	}
	f, err := g.directory.create(name, size)
	return &gatedFile{f, g, name}, err
}

func (g *gate) open(name string, write bool) (file, int64, error) {
	f, size, err := g.directory.open(name, write)
	return &gatedFile{f, g, name}, size, err
}

type gatedFile struct {
	file
	gate *gate
	name string
}

func (f *gatedFile) ReadAt(p []byte, off int64) (int, error) {
	f.gate.mu.Lock()
	var before func()
	if f.gate.name == f.name {
		before, f.gate.before = f.gate.before, nil
	}
	f.gate.mu.Unlock()
	if before != nil {
		before()
	}
	return f.file.ReadAt(p, off)
}

// TestADeletionDuringACompactionLeavesNoBlockWithoutAName deletes a log while
// its lines are read to be compacted. On a full disk there are no rosters, so
// the record of the deletion is all that names the log, and its segment may be
// released before that of a block that is written after it: at the next start
// that block would be a log whose name is lost, and its file be kept forever.
func TestADeletionDuringACompactionLeavesNoBlockWithoutAName(t *testing.T) {
	const segment = 256 << 10
	g := newGate(t)
	var output strings.Builder
	logger := slog.New(slog.NewTextHandler(&output, &slog.HandlerOptions{Level: slog.LevelError}))
	e := openOn(t, g, segment)
	noise := noise(1)
	mustOpen(t, e, "late")
	mustOpen(t, e, "other")
	push := func(key string, size int) error {
		_, err := e.Append(t.Context(), id(key), logs.Lines{Data: noise(size), Count: 1})
		return err
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(push("late", 60<<10))
	for files := 0; files < 3; files, _, _ = e.segments() {
		must(push("other", 40<<10))
	}
	// The block of late does not fit into what the last segment has left.
	for e.wal.left.Load() > 32<<10 {
		must(push("other", 8<<10))
	}
	g.setFull(true)
	if err := push("other", 48<<10); !isFull(err) {
		t.Fatalf("a full disk answers %v", err)
	}
	e.memory.Idle(e.clock() + 1) // a compaction reads them back
	deleted := make(chan error, 1)
	g.beforeRead(segmentName(1), func() { deleted <- e.Delete(t.Context(), id("late")) })
	must(e.Delete(t.Context(), id("other")))
	e.reclaim()
	select {
	case err := <-deleted:
		must(err)
	default:
		t.Fatal("late was not compacted")
	}
	must(e.wal.settle(t.Context()))
	must(e.Stop())

	g.setFull(false)
	d, err := openDirectory(g.path)
	must(err)
	g.directory = d
	e, err = Open(Config{folder: g, segment: segment, Logger: logger})
	must(err)
	defer e.Stop()
	if infos, err := e.List(t.Context(), logs.Filter{}); err != nil || len(infos) > 0 {
		t.Errorf("after a restart there are %v, %v; all logs were deleted", infos, err)
	}
	if output.Len() > 0 {
		t.Errorf("the start reports damage where there is none:\n%s", output.String())
	}
}

// noise makes lines of about n bytes that cannot be compressed by more than a
// quarter.
func noise(seed byte) func(n int) []byte {
	r := rand.NewChaCha8([32]byte{seed})
	return func(n int) []byte {
		b := make([]byte, n*3/4)
		_, _ = r.Read(b)
		return fmt.Appendf(nil, `{"out":"%s"}`+"\n", base64.StdEncoding.EncodeToString(b))
	}
}
