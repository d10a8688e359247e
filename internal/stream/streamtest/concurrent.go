package streamtest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sync/errgroup"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// acked is an acknowledged batch: its lines are those before next.
type acked struct {
	next  int64
	lines []string
}

func testConcurrent(t *testing.T, b Backend) {
	const writers, readers = 8, 4
	batches := Scale(30, 100, 2000)
	e := start(t, b)
	e.open(t, id("a"))

	var read [readers][]string
	var reading, writing errgroup.Group
	for i := range read {
		r := e.follow(t, id("a"), 0)
		reading.Go(func() (err error) {
			defer r.Close()
			read[i], err = r.drain(t.Context())
			return err
		})
	}
	var mu sync.Mutex // guards done
	var done []acked
	for n := range writers {
		w := Writer{Name: fmt.Sprint("writer ", n)}
		writing.Go(func() error {
			for i := range batches {
				a := acked{lines: w.Lines(1 + (i+n)%10)}
				var err error
				if a.next, err = e.Append(t.Context(), id("a"), batch(a.lines)); err != nil {
					return err
				}
				mu.Lock()
				done = append(done, a)
				mu.Unlock()
			}
			return nil
		})
	}
	if err := writing.Wait(); err != nil {
		t.Fatal(err)
	}
	late := e.follow(t, id("a"), 0)
	defer late.Close()
	e.close(t, id("a"))
	if err := reading.Wait(); err != nil {
		t.Fatal(err)
	}
	order := assemble(t, done)
	for i := range read {
		if !slices.Equal(read[i], order) {
			t.Errorf("reader %d saw %d lines, not the %d lines in the order that was acknowledged", i, len(read[i]), len(order))
		}
	}
	late.expect(t, order)
	late.expectEOF(t)
}

// assemble orders acknowledged batches by their acknowledged sequences, which
// may have no gaps or overlaps.
func assemble(t tb, done []acked) []string {
	t.Helper()
	slices.SortFunc(done, func(a, b acked) int { return int(a.next - b.next) })
	var order []string
	for _, a := range done {
		order = append(order, a.lines...)
		if int64(len(order)+1) != a.next {
			t.Fatalf("a batch of %d lines was acknowledged up to %d, where %d lines were acknowledged before",
				len(a.lines), a.next-1, len(order)-len(a.lines))
		}
	}
	return order
}

// testBurst closes streams at the worst moments, thousands of times: directly
// after a burst, with slow and with waiting readers, and during appends.
func testBurst(t *testing.T, b Backend) {
	n := Scale(100, 1000, 20_000)
	if b.Remote || b.Variant {
		n = Scale(30, 100, 5000)
	}
	t.Run("burst, then close", func(t *testing.T) {
		e := start(t, b)
		inParallel(t, n, func(ctx context.Context, i int) error {
			return e.burst(ctx, id(key("burst", i)), i)
		})
	})
	t.Run("close in the middle of appends", func(t *testing.T) {
		e := start(t, b)
		inParallel(t, n, func(ctx context.Context, i int) error {
			return e.race(ctx, id(key("race", i)), i)
		})
	})
}

func inParallel(t *testing.T, n int, f func(context.Context, int) error) {
	t.Helper()
	g, ctx := errgroup.WithContext(t.Context())
	g.SetLimit(32) // concurrent streams
	for i := range n {
		g.Go(func() error {
			if err := f(ctx, i); err != nil {
				return fmt.Errorf("round %d: %w", i, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// burst appends several batches and closes at once. One reader waits from the
// start, one is slow, one starts in the middle.
func (e engine) burst(ctx context.Context, log logservice.ID, round int) error {
	if err := e.Open(ctx, log, logs.OpenOptions{}); err != nil {
		return err
	}
	w := Writer{Name: log.String()}
	var want []string
	var reading errgroup.Group
	follow := func(after int64, delay <-chan struct{}) error {
		c, err := e.Follow(ctx, log, after)
		if err != nil {
			return err
		}
		reading.Go(func() error {
			r := &reader{cur: c, after: after, remote: e.remote}
			defer r.Close()
			<-delay
			got, err := r.drain(ctx)
			if err != nil {
				return err
			}
			if !slices.Equal(got, want[after:]) {
				return fmt.Errorf("a reader after %d got %d of %d lines before the end", after, len(got), len(want)-int(after))
			}
			return nil
		})
		return nil
	}
	now, closed := make(chan struct{}), make(chan struct{})
	close(now)
	err := follow(0, now)
	batches := 1 + round%4
	for i := range batches {
		if err != nil {
			break
		}
		if i == batches/2 {
			err = follow(int64(len(want)), closed)
		}
		if err == nil {
			lines := w.Lines(1 + (round+i)%20)
			_, err = e.Append(ctx, log, batch(lines))
			want = append(want, lines...)
		}
	}
	if cerr := e.Close(ctx, log, logs.Closing{Archive: logs.ArchiveNever}); err == nil {
		err = cerr
	}
	close(closed)
	if rerr := reading.Wait(); err == nil {
		err = rerr
	}
	return e.forget(ctx, log, err)
}

// race closes while writers append: acknowledged lines must exist, refused ones
// must not.
func (e engine) race(ctx context.Context, log logservice.ID, round int) error {
	if err := e.Open(ctx, log, logs.OpenOptions{}); err != nil {
		return err
	}
	c, err := e.Follow(ctx, log, 0)
	if err != nil {
		return err
	}
	r := &reader{cur: c, remote: e.remote}
	defer r.Close()
	var mu sync.Mutex // guards done
	var done []acked
	var writing errgroup.Group
	begun := make(chan struct{}, 3)
	for n := range cap(begun) {
		w := Writer{Name: fmt.Sprint(log, " writer ", n)}
		writing.Go(func() error {
			for i := 0; ; i++ {
				lines := w.Lines(1 + i%3)
				next, err := e.Append(ctx, log, batch(lines))
				if i == round%4 || err != nil {
					select {
					case begun <- struct{}{}:
					default:
					}
				}
				if isNotFound(err) {
					return nil
				}
				if err != nil {
					return err
				}
				mu.Lock()
				done = append(done, acked{next, lines})
				mu.Unlock()
			}
		})
	}
	<-begun
	err = e.Close(ctx, log, logs.Closing{Archive: logs.ArchiveNever})
	if werr := writing.Wait(); err == nil {
		err = werr
	}
	if err != nil {
		return e.forget(ctx, log, err)
	}
	got, err := r.drain(ctx)
	if err == nil {
		err = compare(got, done)
	}
	return e.forget(ctx, log, err)
}

// compare returns an error unless got is what was acknowledged, at the
// acknowledged sequences.
func compare(got []string, done []acked) error {
	n := 0
	for _, a := range done {
		from := int(a.next) - 1 - len(a.lines)
		if from < 0 || int(a.next)-1 > len(got) {
			return fmt.Errorf("lines up to %d were acknowledged, the log ends at %d", a.next-1, len(got))
		}
		if !slices.Equal(got[from:int(a.next)-1], a.lines) {
			return fmt.Errorf("lines %d to %d are not those acknowledged there", from+1, a.next-1)
		}
		n += len(a.lines)
	}
	if n != len(got) {
		return fmt.Errorf("%d lines were acknowledged, the log has %d", n, len(got))
	}
	return nil
}

// forget deletes the stream of a round, and returns the round's error.
func (e engine) forget(ctx context.Context, log logservice.ID, err error) error {
	if err != nil || e.remote {
		return err
	}
	return e.Delete(ctx, log)
}

func isNotFound(err error) bool { return errors.Is(err, logservice.ErrStreamNotFound) }
