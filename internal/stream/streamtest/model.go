package streamtest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// testModel makes random sequences of calls and compares every result with a
// model that keeps lines in slices. All sequences share one engine, each with
// its own account.
func testModel(t *testing.T, b Backend) {
	e := start(t, b)
	var accounts atomic.Int64
	for range Scale(1, 1, 20) {
		rapid.Check(t, func(rt *rapid.T) {
			m := &model{
				e:       e,
				account: fmt.Sprint("model-", accounts.Add(1)),
				streams: map[logservice.Key]*modelStream{},
				writer:  Writer{Name: "w"},
			}
			actions := map[string]func(*rapid.T){
				"open": m.open, "append": m.append, "retry": m.retry, "append at": m.appendAt,
				"follow": m.follow, "next": m.next, "drain": m.drain, "leave": m.leave,
				"close": m.close, "list": m.list,
			}
			if !b.Remote {
				actions["delete"] = m.remove
			}
			if b.Reopen != nil && (!b.SlowReopen || Scale(0, 0, 1) > 0) {
				actions["restart"] = func(rt *rapid.T) {
					m.leaveAll()
					e.Streams = b.Reopen(t, e.Streams)
					m.e = e
				}
			}
			defer m.clear(rt.Context())
			rt.Repeat(actions)
		})
		if t.Failed() {
			return
		}
	}
}

// model is the expected state of the engine.
type model struct {
	e       engine
	account string
	streams map[logservice.Key]*modelStream // those not deleted
	cursors []*modelCursor
	writer  Writer
}

// modelStream is one stream, from its open to its deletion or truncation.
// Cursors refer to it for as long as they read.
type modelStream struct {
	lines  []string
	closed bool
	last   []string // the last batch that may be retried without an offset
}

type modelCursor struct {
	*reader
	s *modelStream
}

func (s *modelStream) next() int64 { return int64(len(s.lines) + 1) }

// pick draws one of a few keys, and returns its stream if there is one.
func (m *model) pick(t *rapid.T) (logservice.ID, *modelStream) {
	k := rapid.SampledFrom([]logservice.Key{"a", "a/b", "a/bc"}).Draw(t, "key")
	return logservice.ID{Account: m.account, Key: k}, m.streams[k]
}

// lines draws new lines: mostly few and short, sometimes enough to be read back
// in several parts.
func (m *model) lines(t *rapid.T) []string {
	m.writer.Pad = rapid.SampledFrom([]int{0, 0, 0, 100, 30_000}).Draw(t, "pad")
	return m.writer.Lines(rapid.IntRange(1, 12).Draw(t, "lines"))
}

func (m *model) open(t *rapid.T) {
	id, s := m.pick(t)
	truncate := rapid.SampledFrom([]bool{false, false, true}).Draw(t, "truncate")
	if m.e.remote {
		truncate = false // readers of a service go on in the next attempt
	}
	err := m.e.Open(t.Context(), id, logs.OpenOptions{Truncate: truncate})
	if s != nil && s.closed {
		wantErr(t, err, logservice.ErrUnavailable, "open of a closed stream")
		return
	}
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	if s != nil && truncate {
		s.closed = true
		s = nil
	}
	if s == nil {
		m.streams[id.Key] = &modelStream{}
	}
}

func (m *model) append(t *rapid.T) {
	id, s := m.pick(t)
	m.store(t, id, s, m.lines(t), 0)
}

func (m *model) retry(t *rapid.T) {
	id, s := m.pick(t)
	if s == nil || s.closed || s.last == nil {
		t.Skip("nothing to retry")
	}
	m.e.append(t, id, batch(s.last), s.next())
}

// appendAt resends some existing lines, continues with new ones, or leaves a
// gap.
func (m *model) appendAt(t *rapid.T) {
	id, s := m.pick(t)
	if s == nil || s.closed {
		m.store(t, id, s, m.lines(t), 1)
		return
	}
	offset := rapid.Int64Range(1, s.next()+2).Draw(t, "offset")
	if offset > s.next() {
		_, err := m.e.Append(t.Context(), id, at(offset, m.lines(t)))
		var seq *logservice.SequenceError
		if !errors.As(err, &seq) || seq.Expected != s.next() {
			t.Fatalf("append at %d where %d is next: got %v", offset, s.next(), err)
		}
		return
	}
	old := s.lines[offset-1:]
	resend := rapid.IntRange(0, len(old)).Draw(t, "resend")
	lines := concat(old[:resend])
	if resend == len(old) {
		lines = append(lines, m.lines(t)...)
	}
	if len(lines) == 0 {
		t.Skip("nothing to append")
	}
	m.store(t, id, s, lines, offset)
}

// store appends lines; if offset is not zero, those from offset on.
func (m *model) store(t *rapid.T, id logservice.ID, s *modelStream, lines []string, offset int64) {
	if s == nil || s.closed {
		_, err := m.e.Append(t.Context(), id, at(offset, lines))
		wantErr(t, err, logservice.ErrStreamNotFound, "append to no open stream")
		return
	}
	if offset == 0 {
		s.last = lines
		s.lines = append(s.lines, lines...)
	} else {
		s.last = nil // whether it is recognized without its offset is unspecified
		has := len(s.lines) - int(offset-1)
		s.lines = append(s.lines, lines[min(has, len(lines)):]...)
	}
	m.e.append(t, id, at(offset, lines), s.next())
}

func (m *model) follow(t *rapid.T) {
	id, s := m.pick(t)
	if s == nil {
		_, err := m.e.Follow(t.Context(), id, 0)
		wantErr(t, err, logservice.ErrStreamNotFound, "follow of no stream")
		return
	}
	after := rapid.Int64Range(0, int64(len(s.lines))).Draw(t, "after")
	m.cursors = append(m.cursors, &modelCursor{m.e.follow(t, id, after), s})
}

func (m *model) cursor(t *rapid.T) *modelCursor {
	if len(m.cursors) == 0 {
		t.Skip("no cursor")
	}
	return rapid.SampledFrom(m.cursors).Draw(t, "cursor")
}

// next reads once, and waits for the lines that the model requires.
func (m *model) next(t *rapid.T) {
	c := m.cursor(t)
	want := c.s.lines[c.after:]
	read := c.next
	if c.remote && (len(want) > 0 || c.s.closed) {
		read = c.wait
	}
	got, eof, err := read(t.Context())
	if err != nil {
		t.Fatalf("%v", err)
	}
	switch {
	case len(want) > 0 && len(got) == 0:
		t.Fatalf("Next returns nothing (end: %v), want line %q", eof, clip(want[0]))
	case eof != (len(want) == 0 && c.s.closed):
		t.Fatalf("end of stream: %v, with %d lines to come and closed: %v", eof, len(want), c.s.closed)
	}
	c.match(t, got, want)
}

func (m *model) drain(t *rapid.T) {
	c := m.cursor(t)
	c.expect(t, c.s.lines[c.after:])
	if c.s.closed {
		c.expectEOF(t)
	} else {
		c.expectNothing(t)
	}
	c.expectUnchanged(t)
}

func (m *model) leave(t *rapid.T) {
	c := m.cursor(t)
	c.Close()
	for i := range m.cursors {
		if m.cursors[i] == c {
			m.cursors = append(m.cursors[:i], m.cursors[i+1:]...)
			return
		}
	}
}

func (m *model) leaveAll() {
	for _, c := range m.cursors {
		c.Close()
	}
	m.cursors = nil
}

func (m *model) close(t *rapid.T) {
	id, s := m.pick(t)
	if s == nil {
		err := m.e.Close(t.Context(), id, logs.Closing{Archive: logs.ArchiveNever})
		wantErr(t, err, logservice.ErrStreamNotFound, "close of no stream")
		return
	}
	m.e.close(t, id)
	s.closed = true
	if m.e.remote {
		delete(m.streams, id.Key)
	}
}

func (m *model) remove(t *rapid.T) {
	id, s := m.pick(t)
	if s == nil {
		wantErr(t, m.e.Delete(t.Context(), id), logservice.ErrStreamNotFound, "delete of no stream")
		return
	}
	m.e.remove(t, id)
	s.closed = true
	delete(m.streams, id.Key)
}

func (m *model) list(t *rapid.T) {
	all := m.e.list(t, logs.Filter{Account: m.account})
	if len(all) != len(m.streams) {
		t.Fatalf("%d streams are listed, want %d", len(all), len(m.streams))
	}
	for _, in := range all {
		s := m.streams[in.ID.Key]
		if s == nil {
			t.Fatalf("%q is listed and does not exist", in.ID)
		}
		readers := 0
		for _, c := range m.cursors {
			if c.s == s {
				readers++
			}
		}
		size := int64(len(join(s.lines)))
		if in.Lines != int64(len(s.lines)) || in.Bytes != size || in.Closed != s.closed {
			t.Fatalf("listed %+v, want %d lines, %d bytes, closed %v", in, len(s.lines), size, s.closed)
		}
		if in.Subscribers != readers && !m.e.remote {
			t.Fatalf("listed %d subscribers, want %d", in.Subscribers, readers)
		}
	}
}

// clear deletes everything from the engine that all sequences share. It reports
// no failures: a failed sequence has reported its own.
func (m *model) clear(ctx context.Context) {
	m.leaveAll()
	for k := range m.streams {
		id := logservice.ID{Account: m.account, Key: k}
		if m.e.remote {
			_ = m.e.Close(ctx, id, logs.Closing{Archive: logs.ArchiveNever})
		} else {
			_ = m.e.Delete(ctx, id)
		}
	}
}
