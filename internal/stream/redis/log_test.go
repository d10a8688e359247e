package redis_test

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// patience bounds every wait of a test.
const patience = 60 * time.Second

// log is one log that a test writes, with the lines that it must have.
type log struct {
	t      testing.TB
	id     logservice.ID
	writer streamtest.Writer
	lines  []string
	gaps   [][2]int64 // first and count of lines that are known to be lost
	to     *node
}

var names atomic.Int64

func newLog(t testing.TB, to *node) *log {
	t.Helper()
	l := &log{t: t, id: logservice.ID{Account: "acme", Key: logservice.Key(fmt.Sprint("log/", names.Add(1)))}, to: to}
	l.writer = streamtest.Writer{Name: l.id.String(), Pad: 50}
	l.opened()
	return l
}

// opened opens the log, as often as it takes: Redis may just have come back, and the
// connections of before end with the first calls.
func (l *log) opened() {
	l.t.Helper()
	eventually(l.t, "the log is open", func() bool {
		err := l.to.Open(l.t.Context(), l.id, logs.OpenOptions{})
		if err != nil && !errors.Is(err, logservice.ErrUnavailable) {
			l.t.Fatalf("open: %v", err)
		}
		return err == nil
	})
}

// write appends n lines with their offset, as often as it takes.
func (l *log) write(n int) {
	l.t.Helper()
	lines := l.writer.Lines(n)
	var data []byte
	for _, x := range lines {
		data = append(append(data, x...), '\n')
	}
	end := time.Now().Add(patience)
	for {
		next, err := l.to.Append(l.t.Context(), l.id, logs.Lines{Data: append([]byte(nil), data...), Count: int64(n), Offset: int64(len(l.lines) + 1)})
		if err == nil {
			l.lines = append(l.lines, lines...)
			if next != int64(len(l.lines)+1) {
				l.t.Fatalf("next is %d after %d lines", next, len(l.lines))
			}
			return
		}
		if !errors.Is(err, logservice.ErrUnavailable) || time.Now().After(end) {
			l.t.Fatalf("append: %v", err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func (l *log) follow(from *node, after int64) logs.Cursor {
	l.t.Helper()
	c, err := from.Follow(l.t.Context(), l.id, after)
	if err != nil {
		l.t.Fatalf("follow: %v", err)
	}
	return c
}

// read reads all lines after the sequence after from a node.
func (l *log) read(from *node, after int64) {
	l.t.Helper()
	c := l.follow(from, after)
	defer c.Close()
	l.expect(c, after)
}

// expect reads from a cursor all lines after the sequence after.
func (l *log) expect(c logs.Cursor, after int64) {
	l.t.Helper()
	limit := time.After(patience)
	for after < int64(len(l.lines)) {
		found, err := c.Next(l.t.Context())
		if err != nil {
			l.t.Fatalf("read after %d: %v", after, err)
		}
		for _, b := range found {
			if b.First != after+1 {
				l.t.Fatalf("a batch starts at %d, want %d", b.First, after+1)
			}
			if b.Gap {
				l.gaps = append(l.gaps, [2]int64{b.First, b.Count})
			} else {
				if want := strings.Join(l.lines[after:b.Last()], "\n") + "\n"; string(b.Data) != want {
					l.t.Fatalf("lines %d to %d are not what was written", b.First, b.Last())
				}
			}
			after = b.Last()
		}
		if len(found) > 0 {
			continue
		}
		select {
		case <-c.Ready():
		case <-limit:
			l.t.Fatalf("nothing after %d of %d within %v", after, len(l.lines), patience)
		}
	}
}

// wantGap reads the log from its start at every node, with one gap.
func (l *log) wantGap(nodes []*node, first, count int64) {
	l.t.Helper()
	for _, n := range nodes {
		l.gaps = nil
		l.read(n, 0)
		if !slices.Equal(l.gaps, [][2]int64{{first, count}}) {
			l.t.Errorf("a late reader got gaps %v, want one of %d lines from %d on", l.gaps, count, first)
		}
	}
}

// wantNoGap is about all that was read so far.
func (l *log) wantNoGap() {
	l.t.Helper()
	if len(l.gaps) != 0 {
		l.t.Errorf("readers got gaps %v, though no line that they lacked is lost", l.gaps)
	}
}

// close ends the log, and its cursor reads the end.
func (l *log) close(from *node) {
	l.t.Helper()
	if err := l.to.Close(l.t.Context(), l.id, logs.Closing{}); err != nil {
		l.t.Fatalf("close: %v", err)
	}
	c := l.follow(from, int64(len(l.lines)))
	defer c.Close()
	if _, err := c.Next(l.t.Context()); !errors.Is(err, io.EOF) {
		l.t.Fatalf("after the last line of a closed log: %v", err)
	}
}

// awaitState waits until a node reports that.
func (l *log) awaitState(n *node, want string) {
	l.t.Helper()
	eventually(l.t, "the state is: "+want, func() bool {
		err := n.Check(l.t.Context())
		return err != nil && err.Error() == want
	})
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("never: ", what)
		}
	}
}
