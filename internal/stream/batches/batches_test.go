package batches_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/batches"
)

func TestPiecesAreCutBetweenLines(t *testing.T) {
	for _, sizes := range [][]int{{1}, {100, 100}, {batches.PieceBytes}, {batches.PieceBytes + 1, 3}, {10, 3 * batches.PieceBytes, 10}, {200_000, 200_000, 200_000}} {
		var data []byte
		for _, n := range sizes {
			data = append(data, strings.Repeat("x", n-1)+"\n"...)
		}
		var joined []byte
		var lines int64
		for p, n := range batches.Pieces(data, int64(len(sizes))) {
			if len(p) > batches.PieceBytes && n > 1 || n != int64(bytes.Count(p, []byte("\n"))) || !bytes.HasSuffix(p, []byte("\n")) {
				t.Errorf("lines of %v: a piece of %d bytes says %d lines", sizes, len(p), n)
			}
			joined, lines = append(joined, p...), lines+n
		}
		if !bytes.Equal(joined, data) || lines != int64(len(sizes)) {
			t.Errorf("lines of %v: the pieces have %d bytes of %d, %d lines", sizes, len(joined), len(data), lines)
		}
	}
}

// held is a stream of which only the resident batches matter.
type held struct {
	resident map[int64]*logs.Batch
	dropped  bool
}

func (h *held) Evict(first int64) {
	h.resident[first].Release()
	delete(h.resident, first)
}
func (h *held) Dropped() bool { return h.dropped }

func TestMemoryLetsTheOldestGo(t *testing.T) {
	var now time.Duration
	m := batches.NewMemory(1000, func() time.Duration { return now })
	h := &held{resident: map[int64]*logs.Batch{}}
	for i := range int64(20) {
		b := &logs.Batch{First: i, Count: 1, Data: make([]byte, 100)}
		h.resident[i] = b
		now = time.Duration(i)
		m.Add(h, b)
		m.Shrink()
		if m.Used() > 1000 {
			t.Fatalf("%d bytes are resident", m.Used())
		}
	}
	if len(h.resident) != 10 || h.resident[9] != nil || h.resident[10] == nil {
		t.Errorf("the budget of 10 batches holds %d, not the youngest", len(h.resident))
	}
	m.Idle(15)
	if len(h.resident) != 5 || h.resident[15] == nil {
		t.Errorf("%d batches are left, want those from 15 on", len(h.resident))
	}
	for _, b := range h.resident {
		b.Release()
	}
	h.dropped = true
	for range 1024 {
		m.Forget()
	}
	if m.Queued() != 0 || m.Used() != 0 {
		t.Errorf("a dropped stream has %d batches queued, %d bytes", m.Queued(), m.Used())
	}
}
