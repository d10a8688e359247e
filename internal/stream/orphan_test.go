package stream

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/harness/log-service/internal/logs"
)

func TestReadersOfDeletedLogsDoNotHoldSharedFiles(t *testing.T) {
	const segment = 16 << 10
	d := newDisk()
	e := openOn(t, d, segment)
	defer e.Stop()
	const n = 100
	var cursors []logs.Cursor
	for _, key := range []string{"archived", "dropped", "read"} {
		mustOpen(t, e, key)
		mustAppend(t, e, key, 1, n)
		c, err := e.Follow(t.Context(), id(key), 0)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		cursors = append(cursors, c)
		if err := e.Close(t.Context(), id(key), logs.Closing{}); err != nil {
			t.Fatal(err)
		}
	}
	stored := logs.Archived{ID: id("elsewhere"), Summary: logs.Summary{Next: n + 1, Checksum: 7}}
	claim, err := e.Claim(t.Context(), id("archived"))
	if err != nil {
		t.Fatal(err)
	}
	claim.(logs.Archivable).Archived(stored)
	if err := claim.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"dropped", "read"} {
		if err := e.Delete(t.Context(), id(key)); err != nil {
			t.Fatal(err)
		}
	}
	e.memory.Idle(e.clock() + 1)
	// They can be read while there is enough space.
	if b, err := cursors[2].Next(t.Context()); err != nil || b[len(b)-1].Last() != n {
		t.Fatalf("a deleted log reads %v, %v", b, err)
	}
	mustOpen(t, e, "traffic")
	for range 20 {
		if err := e.Delete(t.Context(), id("traffic")); err != nil {
			t.Fatal(err)
		}
		mustOpen(t, e, "traffic")
		for i := range int64(50) {
			mustAppend(t, e, "traffic", i*80+1, 80)
		}
		e.reclaim()
	}
	files, _, _ := e.segments()
	t.Logf("%d segments with 3 readers of deleted logs", files)
	if most := 2*deadSegments + 20; files > most {
		t.Errorf("%d segments are kept, want at most %d", files, most)
	}
	var gone *logs.ReleasedError
	if _, err := cursors[0].Next(t.Context()); !errors.As(err, &gone) || gone.Next != n+1 || gone.Archived == nil || *gone.Archived != stored {
		t.Errorf("the cursor of an archived log gets %v, %+v", err, gone)
	}
	if _, err := cursors[1].Next(t.Context()); !errors.As(err, &gone) || gone.Next != n+1 || gone.Archived != nil {
		t.Errorf("the cursor of a deleted log gets %v, %+v", err, gone)
	}
	if _, err := cursors[2].Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("a cursor that had all gets %v", err)
	}
	if err := e.Delete(t.Context(), id("traffic")); err != nil {
		t.Fatal(err)
	}
	for _, c := range cursors {
		c.Close()
	}
	if live := e.live.Load(); live != 0 || len(e.orphans.all()) != 0 {
		t.Errorf("nothing is left, but live=%d, %d orphans", live, len(e.orphans.all()))
	}
}

func TestARewoundCursorReadsTheSameAgain(t *testing.T) {
	e, err := Open(Config{Dir: t.TempDir(), Memory: 1 << 20, Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	mustOpen(t, e, "k")
	const n, each = 200, 50
	for i := range int64(n) {
		mustAppend(t, e, "k", i*each+1, each)
	}
	e.memory.Idle(e.clock() + 1)
	want := string(lines("k", 1, n*each).Data)
	c, err := e.Follow(t.Context(), id("k"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var got strings.Builder
	pos := int64(0)
	for step := int64(0); pos < n*each; step++ {
		b, err := c.Next(t.Context())
		if err != nil || len(b) == 0 || b[0].First != pos+1 {
			t.Fatalf("after %d: %v, %v", pos, b, err)
		}
		// The peer takes some lines of the first batch.
		take := min(b[0].Count, 1+step*37%400)
		for range take {
			pos++
			data := string(b[0].Data)
			_, rest, _ := strings.Cut(data, "\n")
			got.WriteString(data[:len(data)-len(rest)])
			b[0] = &logs.Batch{Data: []byte(rest)}
		}
		c.(logs.Reader).Rewind(pos)
	}
	if got.String() != want {
		t.Error("other lines than were written")
	}
	if used := e.blocks.Used(); used == 0 || used > 1<<20/blocksShare {
		t.Errorf("%d bytes of blocks are kept", used)
	}
	e.blocks.Idle(e.clock() + 1)
	if used := e.blocks.Used(); used != 0 {
		t.Errorf("%d bytes of blocks when their time is over", used)
	}
}
