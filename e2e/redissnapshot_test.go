package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/stream/redis/redistest"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// TestLinesLostWithAnOldSnapshotAreAGap kills both servers and Redis while a log is
// written, and restarts Redis from an older snapshot. Every acknowledged line is in
// the archive, or in a gap that counts it.
func TestLinesLostWithAnOldSnapshotAreAGap(t *testing.T) {
	t.Parallel()
	if unraced(t) {
		return
	}
	redis := redistest.Start(t)
	f := newFleet(t, plainProgram(t), "LOG_SERVICE_REDIS_ENDPOINT="+redis.Addr)
	const kept, rounds = 20, 3
	for round := range rounds {
		key := fmt.Sprint("snapshot/", round)
		wires := [2]*wire{newWire(f.servers[0].url), newWire(f.servers[1].url)}
		if err := wires[0].open(t.Context(), key); err != nil {
			t.Fatal(err)
		}
		writer := streamtest.Writer{Name: key}
		var sent []string
		push := func() {
			t.Helper()
			lines := writer.Lines(1)
			next, err := wires[len(sent)%2].push(t.Context(), key, "", lines)
			sent = append(sent, lines...)
			if err != nil || next != int64(len(sent)+1) {
				t.Fatalf("next is %d after %d lines, %v", next, len(sent), err)
			}
		}
		for range kept {
			push()
		}
		old := redis.Snapshot()
		for range 1 + 50*round {
			push()
		}
		for _, s := range f.servers {
			s.kill()
		}
		redis.RestartFrom(old)
		for _, s := range f.servers {
			s.start()
		}
		acked := int64(len(sent))
		push()
		if err := wires[round%2].close(t.Context(), key, "snapshot=true"); err != nil {
			t.Fatal(err)
		}
		awaitArchive(t, f.servers[0], key)
		archived, err := wires[1].archive(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		got := bytes.Split(bytes.TrimSpace(archived), []byte("\n"))
		if len(got) != kept+2 {
			t.Fatalf("round %d: the archive has %d lines, want %d, a gap and one more", round, len(got), kept)
		}
		var gap struct{ Gap logservice.Gap }
		if err := json.Unmarshal(got[kept], &gap); err != nil || gap.Gap.First != kept+1 || gap.Gap.Last != acked {
			t.Errorf("round %d: the gap is %s, want it from %d to %d", round, got[kept], kept+1, acked)
		}
		want := slices.Concat(sent[:kept], sent[acked:])
		for i, line := range slices.Delete(got, kept, kept+1) {
			if string(line) != want[i] {
				t.Errorf("round %d: a line is %s, want %s", round, line, want[i])
			}
		}
	}
}
