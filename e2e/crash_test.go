package e2e_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/harness/log-service/internal/stream/streamtest"
)

// TestEveryAcknowledgedLineSurvivesKill9 kills the server repeatedly while clients
// write, read and close logs and retry as real clients do. In the end every line is
// present exactly once, in its writer's order, and every follower saw exactly that.
func TestEveryAcknowledgedLineSurvivesKill9(t *testing.T) {
	t.Parallel()
	rounds := streamtest.Scale(2, 5, 50)
	limit := hangLimit + time.Duration(rounds)*10*time.Second
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("not done within %v", limit))
	defer cancel()

	s := startServer(t, program(t))
	l := newLoad(ctx, newWire(s.url))
	if err := l.begin(); err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		// Random moments: during appends, opens and archiving.
		if err := l.progress(1+rand.Int64N(400), 2*time.Second); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		s.kill()
		s.start()
	}
	if err := l.progress(200, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := l.finish(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d kills, %d acknowledged batches, %d short logs", rounds, l.acks.Load(), l.short.Load())
	for key, log := range l.logs {
		if err := log.check(); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
	s.stop()
}

// load is a set of clients that write, follow, open and close logs until they are
// stopped.
type load struct {
	wire    *wire
	work    *errgroup.Group // writers and the makers of short logs
	ctx     context.Context // of work: ends when one of them or of the tailers fails
	read    *errgroup.Group // tailers, which end with their logs
	readCtx context.Context
	stop    chan struct{}
	logs    map[string]*written

	acks  atomic.Int64
	short atomic.Int64
}

// written is one log: what its writers sent, and what its readers saw.
type written struct {
	key string

	mu      sync.Mutex   // guards batches
	batches [][][]string // by writer, then in the writer's order

	readers [2][]string // each owned by its tailer until that ends
	archive []string
}

func newLoad(ctx context.Context, w *wire) *load {
	l := &load{wire: w, stop: make(chan struct{}), logs: map[string]*written{}}
	l.read, l.readCtx = errgroup.WithContext(ctx)
	l.work, l.ctx = errgroup.WithContext(l.readCtx)
	return l
}

// begin opens the logs and starts everybody.
func (l *load) begin() error {
	for key, writers := range map[string][]writer{
		"crash/shared":  {{kind: plain}, {kind: plain}, {kind: plain}},
		"crash/plain":   {{kind: plain}},
		"crash/offset":  {{kind: offset}},
		"crash/overlap": {{kind: overlap}},
		"crash/large":   {{kind: plain, pad: 20_000}},
	} {
		if err := l.wire.open(l.ctx, key); err != nil {
			return err
		}
		log := &written{key: key, batches: make([][][]string, len(writers))}
		l.logs[key] = log
		for i := range log.readers {
			l.follow(log, &log.readers[i])
		}
		for i, w := range writers {
			w.l, w.log, w.index = l, log, i
			w.lines = streamtest.Writer{Name: fmt.Sprintf("%s writer %d", key, i), Pad: w.pad}
			l.work.Go(w.run)
		}
	}
	for i := range 2 {
		l.work.Go(func() error { return l.shortLogs(i) })
	}
	return nil
}

func (l *load) follow(log *written, into *[]string) {
	l.read.Go(func() error {
		t := tailer{wire: l.wire, key: log.key, line: func(_ int64, json []byte) error {
			*into = append(*into, string(json))
			return nil
		}}
		return t.run(l.readCtx)
	})
}

// progress waits until n more batches are acknowledged, or for the time most.
func (l *load) progress(n int64, most time.Duration) error {
	goal := l.acks.Load() + n
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	end := time.After(most)
	for l.acks.Load() < goal {
		select {
		case <-tick.C:
		case <-end:
			return nil
		case <-l.ctx.Done():
			return fmt.Errorf("somebody failed: %w", context.Cause(l.ctx))
		}
	}
	return nil
}

// await waits until n more batches are acknowledged.
func (l *load) await(n int64) error {
	goal := l.acks.Load() + n
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for l.acks.Load() < goal {
		select {
		case <-tick.C:
		case <-l.ctx.Done():
			return fmt.Errorf("somebody failed: %w", context.Cause(l.ctx))
		}
	}
	return nil
}

// finish lets the writers end their last batch, closes the logs, and waits
// until the tailers have seen the end.
func (l *load) finish() error {
	close(l.stop)
	if err := l.work.Wait(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), hangLimit)
	defer cancel()
	for key, log := range l.logs {
		if err := l.wire.close(ctx, key, "snapshot=true"); err != nil {
			return fmt.Errorf("close %s: %w", key, err)
		}
		data, err := l.wire.archive(ctx, key)
		if err != nil {
			return err
		}
		log.archive = strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	}
	return l.read.Wait()
}

// kinds of writers.
type kind int

const (
	plain   kind = iota // the identical body again, nothing else
	offset              // each batch carries its offset
	overlap             // like offset, and resends acknowledged lines
)

type writer struct {
	kind kind
	pad  int

	l     *load
	log   *written
	index int // in log.batches
	lines streamtest.Writer
}

// flushPause is between two batches of a writer, so that those who share a
// log retry within a few batches of each other, as runners do that flush
// every 100 ms.
const flushPause = 2 * time.Millisecond

func (w *writer) run() error {
	var sent []string
	flush := time.NewTicker(flushPause)
	defer flush.Stop()
	for {
		select {
		case <-w.l.stop:
			return nil
		case <-flush.C:
		}
		batch := w.lines.Lines(1 + rand.IntN(20))
		body, query := batch, ""
		if w.kind != plain {
			again := 0
			if w.kind == overlap {
				again = min(len(sent), rand.IntN(30))
			}
			body = append(slices.Clone(sent[len(sent)-again:]), batch...)
			query = fmt.Sprintf("offset=%d", len(sent)-again+1)
		}
		next, err := w.l.wire.push(w.l.ctx, w.log.key, query, body)
		if err != nil {
			return fmt.Errorf("push to %s: %w", w.log.key, err)
		}
		w.l.acks.Add(1)
		sent = append(sent, batch...)
		w.log.mu.Lock()
		w.log.batches[w.index] = append(w.log.batches[w.index], batch)
		alone := len(w.log.batches) == 1
		w.log.mu.Unlock()
		if want := int64(len(sent) + 1); alone && next != want {
			return fmt.Errorf("push to %s: next sequence %d, want %d", w.log.key, next, want)
		}
	}
}

// check verifies that archive and readers have every batch exactly once, whole and
// in its writer's order, and nothing else.
func (w *written) check() error {
	for i, got := range w.readers {
		if !slices.Equal(got, w.archive) {
			return fmt.Errorf("reader %d saw %d lines, the archive has %d: they are not the same%s",
				i, len(got), len(w.archive), firstDifference(got, w.archive))
		}
	}
	at := make(map[string]int, len(w.archive))
	for i, line := range w.archive {
		if before, twice := at[line]; twice {
			return fmt.Errorf("line %d is line %d again: %.120q", i+1, before+1, line)
		}
		at[line] = i
	}
	total := 0
	for n, batches := range w.batches {
		last := -1
		for b, batch := range batches {
			for i, line := range batch {
				place, ok := at[line]
				switch {
				case !ok:
					return fmt.Errorf("batch %d of writer %d: an acknowledged line is lost: %.120q", b, n, line)
				case i == 0 && place <= last, i > 0 && place != last+1:
					return fmt.Errorf("batch %d of writer %d: line %d comes after line %d: %.120q", b, n, place+1, last+1, line)
				}
				last = place
			}
			total += len(batch)
		}
	}
	if total != len(w.archive) {
		return fmt.Errorf("%d lines were acknowledged, the archive has %d", total, len(w.archive))
	}
	return nil
}

func firstDifference(a, b []string) string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf(": line %d is %.120q and %.120q", i+1, a[i], b[i])
		}
	}
	return ""
}

// shortLogs repeatedly opens a log, writes some lines, closes it and reads the
// archive, so that the kills hit every step.
func (l *load) shortLogs(maker int) error {
	pause := time.NewTicker(10 * time.Millisecond)
	defer pause.Stop()
	for n := 0; ; n++ {
		select {
		case <-l.stop:
			return nil
		case <-pause.C:
		}
		key := fmt.Sprintf("short/%d/%d", maker, n)
		if err := l.shortLog(key); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
		l.short.Add(1)
	}
}

func (l *load) shortLog(key string) error {
	if err := l.wire.open(l.ctx, key); err != nil {
		return err
	}
	w := streamtest.Writer{Name: key}
	var sent []string
	for range 1 + rand.IntN(4) {
		lines := w.Lines(1 + rand.IntN(30))
		if _, err := l.wire.push(l.ctx, key, "", lines); err != nil {
			return err
		}
		sent = append(sent, lines...)
	}
	if err := l.wire.close(l.ctx, key, ""); err != nil {
		return err
	}
	data, err := l.wire.archive(l.ctx, key)
	if err != nil {
		return err
	}
	if got := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n"); !slices.Equal(got, sent) {
		return fmt.Errorf("the archive has %d lines, %d were acknowledged%s", len(got), len(sent), firstDifference(got, sent))
	}
	return nil
}
