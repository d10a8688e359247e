package streamtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// maxNext is how much one Next may return if no line is longer: the contract
// says about 256 KiB, and the suite allows twice that.
const maxNext = 512 << 10

// reader is a cursor that checks every batch: contiguous, no line repeated or
// skipped, correct counts, no gap.
type reader struct {
	cur    logs.Cursor
	after  int64
	remote bool
	seen   []kept
}

// kept records a batch, to check later that it has not changed.
type kept struct {
	b   *logs.Batch
	sum uint64
}

var hashSeed = maphash.MakeSeed()

func (e engine) follow(t tb, id logservice.ID, after int64) *reader {
	t.Helper()
	c, err := e.Follow(t.Context(), id, after)
	if err != nil {
		t.Fatalf("follow %q after %d: %v", id, after, err)
	}
	return &reader{cur: c, after: after, remote: e.remote}
}

func (r *reader) Close() { r.cur.Close() }

// next returns the available lines, and whether the end was reached.
func (r *reader) next(ctx context.Context) (lines []string, eof bool, err error) {
	bs, err := r.cur.Next(ctx)
	if errors.Is(err, io.EOF) {
		if len(bs) > 0 {
			return nil, false, errors.New("a Next returned batches together with io.EOF")
		}
		return nil, true, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("a Next after %d: %w", r.after, err)
	}
	size := 0
	for _, b := range bs {
		got, err := r.check(b)
		if err != nil {
			return nil, false, err
		}
		lines = append(lines, got...)
		size += len(b.Data)
	}
	if size > maxNext && longest(lines) < maxNext/2 {
		return nil, false, fmt.Errorf("a Next returned %d bytes at once, want at most about %d", size, maxNext/2)
	}
	return lines, false, nil
}

// check checks one batch and advances the reader.
func (r *reader) check(b *logs.Batch) ([]string, error) {
	lines := split(b.Data)
	switch {
	case b.Gap:
		return nil, fmt.Errorf("a gap of %d lines from %d, though nothing is lost", b.Count, b.First)
	case b.First != r.after+1:
		return nil, fmt.Errorf("batch starts at %d, want %d", b.First, r.after+1)
	case b.Count != int64(len(lines)):
		return nil, fmt.Errorf("batch from %d says %d lines and holds %d", b.First, b.Count, len(lines))
	case b.Count == 0:
		return nil, fmt.Errorf("empty batch at %d", b.First)
	case !bytes.HasSuffix(b.Data, []byte("\n")):
		return nil, fmt.Errorf("batch from %d does not end in a line break", b.First)
	}
	r.after = b.Last()
	r.seen = append(r.seen, kept{b, maphash.Bytes(hashSeed, b.Data)})
	return lines, nil
}

// wait is next, but waits for lines; it fails if none arrive.
func (r *reader) wait(ctx context.Context) (lines []string, eof bool, err error) {
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		lines, eof, err = r.next(ctx)
		if err != nil || eof || len(lines) > 0 {
			return lines, eof, err
		}
		select {
		case <-r.cur.Ready():
		case <-limit.C:
			return nil, false, fmt.Errorf("nothing after %d within %v", r.after, patience)
		}
	}
}

// expect reads exactly want.
func (r *reader) expect(t tb, want []string) {
	t.Helper()
	for len(want) > 0 {
		got, eof, err := r.wait(t.Context())
		if err != nil {
			t.Fatalf("%v", err)
		}
		if eof {
			t.Fatalf("end of stream after %d, %d lines too early; missing %q", r.after, len(want), clip(want[0]))
		}
		want = r.match(t, got, want)
	}
}

// match removes got from the front of want.
func (r *reader) match(t tb, got, want []string) (rest []string) {
	t.Helper()
	first := r.after - int64(len(got)) + 1
	for i, g := range got {
		if i >= len(want) {
			t.Fatalf("line %d is one too many: %q", first+int64(i), clip(g))
		}
		if g != want[i] {
			t.Fatalf("line %d is %q, want %q", first+int64(i), clip(g), clip(want[i]))
		}
	}
	return want[len(got):]
}

// expectNothing checks that the reader is at the last line of an open stream or
// at the end of a closed one.
func (r *reader) expectNothing(t tb) {
	t.Helper()
	got, _, err := r.next(t.Context())
	if err != nil {
		t.Fatalf("%v", err)
	}
	if len(got) > 0 {
		t.Fatalf("%d lines too many up to %d, first %q", len(got), r.after, clip(got[0]))
	}
}

// expectEOF reads the end, twice: it must remain the end.
func (r *reader) expectEOF(t tb) {
	t.Helper()
	for range 2 {
		got, eof, err := r.wait(t.Context())
		if err != nil {
			t.Fatalf("%v", err)
		}
		if !eof {
			t.Fatalf("%d lines up to %d where the end should be, first %q", len(got), r.after, clip(got[0]))
		}
	}
	r.expectUnchanged(t)
}

// drain reads to the end of the stream.
func (r *reader) drain(ctx context.Context) ([]string, error) {
	var all []string
	for {
		got, eof, err := r.wait(ctx)
		if err != nil || eof {
			return all, err
		}
		all = append(all, got...)
	}
}

// expectUnchanged checks that published batches were not modified.
func (r *reader) expectUnchanged(t tb) {
	t.Helper()
	for _, k := range r.seen {
		if maphash.Bytes(hashSeed, k.b.Data) != k.sum {
			t.Fatalf("batch %d to %d changed after it was read", k.b.First, k.b.Last())
		}
	}
}

func longest(lines []string) int {
	n := 0
	for _, l := range lines {
		n = max(n, len(l))
	}
	return n
}

// clip shortens a line for a message.
func clip(s string) string {
	if len(s) > 160 {
		return s[:160] + "..."
	}
	return s
}
