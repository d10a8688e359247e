package redis_test

import (
	"testing"

	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// newAttempt starts a log that is an attempt of this number, from the line first
// on. Those before are stored elsewhere.
func newAttempt(t *testing.T, to *node, attempt, first int64) *log {
	t.Helper()
	l := newLog(t, to)
	l.open(to, logs.OpenOptions{Truncate: true, Attempt: attempt, First: first})
	l.lines = make([]string, first-1)
	return l
}

func (l *log) open(to *node, o logs.OpenOptions) {
	l.t.Helper()
	if err := to.Open(l.t.Context(), l.id, o); err != nil {
		l.t.Fatal(err)
	}
}

// wantAttempt is what each node says of the log, and its cursors.
func (l *log) wantAttempt(nodes []*node, attempt, first int64) {
	l.t.Helper()
	for _, n := range nodes {
		info, err := n.Stat(l.t.Context(), l.id)
		if err != nil || info.Attempt != attempt || info.First != first {
			l.t.Errorf("the log is attempt %d from line %d, %v; want %d, %d", info.Attempt, info.First, err, attempt, first)
		}
		c := l.follow(n, 0).(logs.Reader)
		if c.Attempt() != attempt || c.First() != first {
			l.t.Errorf("a cursor is of attempt %d from line %d, want %d, %d", c.Attempt(), c.First(), attempt, first)
		}
		c.Close()
	}
}

// Streams that an older version opened have no such fields.
func TestAStreamOfAnOlderVersionIsTheFirstAttempt(t *testing.T) {
	s := redistest.Start(t)
	nodes, l := tenLines(t, s)
	s.Do("HDEL", redis.MetaKey(nodes[0].Engine, l.id), "n", "b")
	l.wantAttempt(nodes, 1, 1)
	l.read(nodes[1], 0)
	l.open(nodes[1], logs.OpenOptions{Truncate: true})
	l.wantAttempt(nodes, 2, 1)
}

// Wherever its lines are, and whatever Redis evicts, an attempt that continues
// begins at its first line, for every reader.
func TestNoReaderMissesWhatIsBeforeAnAttempt(t *testing.T) {
	const attempt, first = 3, 1<<50 + 1
	s := redistest.Start(t)
	nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}, StreamMemory: 4 << 10})
	l := newLog(t, nodes[0])
	l.open(nodes[0], logs.OpenOptions{Truncate: true, Attempt: attempt, First: first})
	l.wantAttempt(nodes, attempt, first)
	next := int64(first)
	for range 50 {
		var err error
		if next, err = (patient{nodes[0]}).Append(t.Context(), l.id, at(next, l.writer.Lines(5))); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "older lines are in the store", func() bool { return stored(t, nodes[0].config.Store) > 0 })
	for _, n := range nodes {
		c := l.follow(n, 0).(logs.Reader)
		for range 2 {
			for pos := int64(first); pos < next; {
				found, err := c.Next(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, b := range found {
					if b.First != pos || b.Gap {
						t.Fatalf("a batch of %d lines from %d on, a gap: %v; want line %d", b.Count, b.First, b.Gap, pos)
					}
					pos = b.Next()
				}
			}
			c.Rewind(0)
		}
		c.Close()
	}
	if err := nodes[1].Close(t.Context(), l.id, logs.Closing{}); err != nil {
		t.Fatal(err)
	}
	infos, err := nodes[1].Due(t.Context())
	if err != nil || len(infos) != 1 || infos[0].Attempt != attempt || infos[0].First != first || infos[0].Lines != next-1 {
		t.Errorf("due: %+v, %v", infos, err)
	}
}

func at(first int64, lines []string) logs.Lines {
	var data []byte
	for _, x := range lines {
		data = append(append(data, x...), '\n')
	}
	return logs.Lines{Data: data, Count: int64(len(lines)), Offset: first}
}

// The gap that lost lines leave begins at the first one that the attempt had.
func TestAnAttemptWhoseLinesAreRemovedIsAGapFromItsFirstOn(t *testing.T) {
	s := redistest.Start(t)
	nodes := quietNodes(t, s, 2)
	const first = 1<<47 + 1 // Lua rounds what is after 100,000,000,000,000
	l := newLog(t, nodes[0])
	l.open(nodes[0], logs.OpenOptions{Truncate: true, Attempt: 2, First: first})
	if _, err := nodes[0].Append(t.Context(), l.id, at(first, l.writer.Lines(10))); err != nil {
		t.Fatal(err)
	}
	s.Do("DEL", redis.DataKey(nodes[0].Engine, l.id))
	if err := nodes[0].Close(t.Context(), l.id, logs.Closing{}); err != nil {
		t.Fatal(err)
	}
	l.wantAttempt(nodes, 2, first)
	c := l.follow(nodes[1], 0)
	defer c.Close()
	found, err := c.Next(t.Context())
	if err != nil || len(found) != 1 || !found[0].Gap || found[0].First != first || found[0].Count != 10 {
		t.Errorf("a reader got %+v, %v; want a gap of 10 lines", found, err)
	}
}

// Redis is an old one: the stream in it is the attempt that it was, and its lost
// lines are a gap.
func TestAnAttemptIsKeptWithAnOldSnapshot(t *testing.T) {
	s := redistest.Start(t)
	nodes := quietNodes(t, s, 2)
	const first = 21
	l := newAttempt(t, nodes[0], 2, first)
	l.write(10)
	old := s.Snapshot()
	l.write(10)
	s.RestartFrom(old)
	restartAll(t, nodes)
	l.wantAttempt(nodes, 2, first)
	l.to = nodes[1]
	l.write(5)
	for _, n := range nodes {
		l.gaps = nil
		l.read(n, first-1)
		if len(l.gaps) != 1 || l.gaps[0] != [2]int64{first + 10, 10} {
			t.Errorf("a reader got gaps %v", l.gaps)
		}
	}
	l.open(nodes[0], logs.OpenOptions{Truncate: true})
	l.wantAttempt(nodes, 3, 1)
}

// All lines of an attempt are lost in a failover. Readers had them: what takes
// its place is another attempt.
func TestAnAttemptWhoseLinesAreLostIsNotEmpty(t *testing.T) {
	s := redistest.Start(t)
	nodes := quietNodes(t, s, 1)
	const first = 21
	l := newAttempt(t, nodes[0], 2, first)
	l.write(0) // the node learns the generation
	key := redis.DataKey(nodes[0].Engine, l.id)
	save(s, key)
	l.write(10)
	s.Do("COPY", key+"-before", key, "REPLACE") // unnoticed
	l.open(nodes[0], logs.OpenOptions{Truncate: true, Attempt: 2, First: first})
	l.wantAttempt(nodes, 3, 1)
}

// A retry of one of the first lines is recognized at another node.
func TestARetryOfTheFirstLinesOfAnAttemptIsRecognized(t *testing.T) {
	s := redistest.Start(t)
	nodes := quietNodes(t, s, 2)
	const first = 21
	l := newAttempt(t, nodes[0], 2, first)
	for _, n := range nodes {
		if next, err := n.Append(t.Context(), l.id, marked(0)); err != nil || next != first+1 {
			t.Errorf("next is %d, %v", next, err)
		}
	}
}

// An attempt that continues and has no lines of its own yet is replaced by what
// is asked for, and its end is known where Redis has evicted its only entry.
func TestAnAttemptWithoutLinesOfItsOwnIsEmpty(t *testing.T) {
	s := redistest.Start(t)
	nodes := quietNodes(t, s, 2)
	const first = 21
	l := newAttempt(t, nodes[0], 2, first)
	l.write(0)
	s.Do("DEL", redis.DataKey(nodes[0].Engine, l.id))
	if info, err := nodes[1].Stat(t.Context(), l.id); err != nil || info.Lines != first-1 || !info.Empty() {
		t.Errorf("the log is %+v, %v", info, err)
	}
	l.open(nodes[1], logs.OpenOptions{Truncate: true})
	l.wantAttempt(nodes, 2, 1)
}

// Redis has evicted the entries of a log that has segments: what its entry in
// place of them follows is not the start.
func TestARetryIsRecognizedWhereRedisHasOnlySegments(t *testing.T) {
	s := redistest.Start(t)
	nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}, StreamMemory: 4 << 10})
	l := newLog(t, nodes[0])
	l.mark(nodes[0], 0, 40, 0)
	eventually(t, "older lines are in the store", func() bool { return stored(t, nodes[0].config.Store) > 0 && redis.Offloads(nodes[0].Engine) == 0 })
	s.Do("DEL", redis.DataKey(nodes[0].Engine, l.id))
	before, err := nodes[1].Stat(t.Context(), l.id)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nodes[1].Append(t.Context(), l.id, marked(0)); err != nil {
		t.Fatal(err)
	}
	if after, err := nodes[1].Stat(t.Context(), l.id); err != nil || after.Bytes != before.Bytes {
		t.Errorf("the log grew from %d to %d bytes by a retry, %v", before.Bytes, after.Bytes, err)
	}
}
