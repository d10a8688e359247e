package streamtest

import (
	"sort"
	"strings"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

func testList(t *testing.T, b Backend) {
	t.Run("by account and prefix of the key, to a boundary", func(t *testing.T) {
		e := start(t, b)
		for _, s := range []string{
			"A:run:1", "A:run:1/step:1", "A:run:1/step:10", "A:run:1/step:1/a", "A:run:10", "A:run:10/step:1", "A:other",
			"A:s-commandUnit:Execute", "A:s-commandUnit:Execute/a", "A:s-commandUnitX", "A:s-commandUnit;", "A:s2-commandUnit:Execute",
			"B:run:1", "B:run:1/step:1", "B:s-commandUnit:Execute",
		} {
			account, key, _ := strings.Cut(s, ":")
			e.open(t, logservice.ID{Account: account, Key: logservice.Key(key)})
		}
		for _, c := range []struct{ account, prefix, want string }{
			{"A", "", "A:other A:run:1 A:run:1/step:1 A:run:1/step:1/a A:run:1/step:10 A:run:10 A:run:10/step:1 " +
				"A:s-commandUnit:Execute A:s-commandUnit:Execute/a A:s-commandUnit; A:s-commandUnitX A:s2-commandUnit:Execute"},
			{"A", "s", "A:s-commandUnit:Execute A:s-commandUnit:Execute/a"},
			{"A", "s-commandUnit:Execute", "A:s-commandUnit:Execute A:s-commandUnit:Execute/a"},
			{"A", "run:1", "A:run:1 A:run:1/step:1 A:run:1/step:1/a A:run:1/step:10"},
			{"A", "run:1/step:1", "A:run:1/step:1 A:run:1/step:1/a"},
			{"A", "run:10", "A:run:10 A:run:10/step:1"},
			{"A", "run:", ""},
			{"A", "run", ""},
			{"B", "", "B:run:1 B:run:1/step:1 B:s-commandUnit:Execute"},
			{"B", "run:10", ""},
			{"C", "", ""},
			{"", "run:1/step:1", "A:run:1/step:1 A:run:1/step:1/a B:run:1/step:1"},
			{"", "s", "A:s-commandUnit:Execute A:s-commandUnit:Execute/a B:s-commandUnit:Execute"},
		} {
			if c.account == "" && b.Remote {
				continue // every call has an account
			}
			got := names(e.list(t, logs.Filter{Account: c.account, Prefix: logservice.Key(c.prefix)}))
			if got != c.want {
				t.Errorf("list of account %q below %q: got  %s\nwant %s", c.account, c.prefix, got, c.want)
			}
		}
		if !b.Remote {
			if n := len(e.list(t, logs.Filter{})); n != 15 {
				t.Errorf("list of everything has %d streams, want 15", n)
			}
		}
	})

	t.Run("reports lines, bytes and state", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		wantInfo(t, e, id("a"), 0, 0)
		one, two := w.Lines(3), w.Lines(4)
		e.append(t, id("a"), batch(one), 4)
		e.append(t, id("a"), batch(one), 4)
		e.append(t, id("a"), batch(two), 8)
		wantInfo(t, e, id("a"), 7, int64(len(join(one))+len(join(two))))
		e.append(t, id("a"), at(6, concat(two[2:], w.Lines(1))), 9)
		if in, _ := e.info(t, id("a")); in.Lines != 8 {
			t.Fatalf("listed with %d lines after an overlap, want 8", in.Lines)
		}
		if in, _ := e.info(t, id("a")); in.Closed {
			t.Fatalf("an open stream is listed as closed: %+v", in)
		}
		e.truncate(t, id("a"))
		wantInfo(t, e, id("a"), 0, 0)
	})

	t.Run("counts cursors from Follow to Close", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		e.open(t, id("a"))
		e.append(t, id("a"), batch(w.Lines(1)), 2)
		subscribers := func(want int) {
			t.Helper()
			eventually(t, "subscribers", func() (bool, string) {
				in, _ := e.info(t, id("a"))
				return counted(in.Subscribers, want)
			})
		}
		subscribers(0)
		one, two := e.follow(t, id("a"), 0), e.follow(t, id("a"), 1)
		subscribers(2)
		one.Close()
		subscribers(1)
		one = e.follow(t, id("a"), 0)
		subscribers(2)
		one.Close()
		two.Close()
		subscribers(0)
	})
}

func testTTL(t *testing.T, b Backend) {
	// The time left is rounded to seconds if it is transmitted as text.
	slack := time.Millisecond
	if b.Remote {
		slack = time.Second
	}
	left := func(t *testing.T, e engine, since time.Time, ttl time.Duration) {
		t.Helper()
		in, _ := e.info(t, id("a"))
		if lo := ttl - time.Since(since) - slack; in.TTL < lo || in.TTL > ttl+slack {
			t.Fatalf("time to live is %v, want between %v and %v", in.TTL, lo, ttl)
		}
	}

	t.Run("is what the opener asks for, by default and at most what the service says", func(t *testing.T) {
		e := start(t, b)
		for _, c := range []struct{ asked, want time.Duration }{
			{0, logservice.DefaultTTL},
			{time.Minute, time.Minute},
			{90 * time.Minute, 90 * time.Minute},
			{logservice.MaxTTL, logservice.MaxTTL},
			{logservice.MaxTTL + time.Hour, logservice.MaxTTL},
			{30 * time.Minute, 30 * time.Minute},
		} {
			now := time.Now() // every Open sets the new time
			if err := e.Open(t.Context(), id("a"), logs.OpenOptions{TTL: c.asked}); err != nil {
				t.Fatal(err)
			}
			left(t, e, now, c.want)
		}
	})

	if b.Remote {
		return // whole seconds are too coarse for the rest
	}

	t.Run("counts from the last append", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		opened := time.Now() // before: the clock runs while the open becomes durable
		e.open(t, id("a"))
		eventually(t, "time to live runs down", func() (bool, string) {
			in, _ := e.info(t, id("a"))
			return in.TTL < logservice.DefaultTTL-20*time.Millisecond, in.TTL.String()
		})
		if time.Since(opened) < 20*time.Millisecond-slack {
			t.Fatalf("time to live runs faster than the clock")
		}
		now := time.Now()
		e.append(t, id("a"), batch(w.Lines(1)), 2)
		left(t, e, now, logservice.DefaultTTL)
	})

	t.Run("an expired stream remains until it is archived, and is reported as expired", func(t *testing.T) {
		e, w := start(t, b), Writer{Name: "w"}
		if err := e.Open(t.Context(), id("a"), logs.OpenOptions{TTL: time.Millisecond}); err != nil {
			t.Fatal(err)
		}
		lines := w.Lines(2)
		e.append(t, id("a"), batch(lines), 3)
		eventually(t, "time to live is over", func() (bool, string) {
			in, ok := e.info(t, id("a"))
			return ok && in.TTL <= 0, in.TTL.String()
		})
		e.contents(t, id("a"), lines)
		e.close(t, id("a"))
		e.contents(t, id("a"), lines)
	})
}

func wantInfo(t *testing.T, e engine, id logservice.ID, lines, size int64) {
	t.Helper()
	in, ok := e.info(t, id)
	if !ok || in.Lines != lines || in.Bytes != size {
		t.Fatalf("stream is listed (%v) with %d lines and %d bytes, want %d and %d", ok, in.Lines, in.Bytes, lines, size)
	}
}

func names(all []logs.Info) string {
	var ids []string
	for _, in := range all {
		ids = append(ids, in.ID.String())
	}
	sort.Strings(ids)
	return strings.Join(ids, " ")
}
