package redis_test

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// quietNodes starts nodes over one Redis that log nothing.
func quietNodes(t *testing.T, s *redistest.Server, n int) []*node {
	t.Helper()
	return newNodes(t, n, redis.Config{Addresses: []string{s.Addr}, Logger: slog.New(slog.DiscardHandler)})
}

// tenLines starts two nodes and a log of ten lines.
func tenLines(t *testing.T, s *redistest.Server) ([]*node, *log) {
	t.Helper()
	nodes := quietNodes(t, s, 2)
	l := newLog(t, nodes[0])
	l.write(10)
	return nodes, l
}

func restartAll(t *testing.T, nodes []*node) {
	t.Helper()
	for _, n := range nodes {
		n.stop(t)
	}
	for _, n := range nodes {
		n.start(t)
	}
}

// Redis and all nodes restart, and Redis has read an old snapshot: what was
// acknowledged since is a gap, whichever node goes on.
func TestLinesLostWithAnOldSnapshotAreAGapWhenAllRestart(t *testing.T) {
	s := redistest.Start(t)
	for name, goOn := range map[string]func(l *log, other *node){
		"appended": func(l *log, other *node) {
			if next := l.plain(other, 5); next != 23 {
				t.Errorf("next is %d after 17 lines that were acknowledged and 5 more", next)
			}
		},
		"appended at an offset": func(l *log, other *node) {
			l.to = other
			l.write(5)
		},
		"closed": func(l *log, other *node) {
			l.to = other
			l.close(other)
		},
	} {
		t.Run(name, func(t *testing.T) {
			nodes, l := tenLines(t, s)
			old := s.Snapshot()
			l.write(7)
			s.RestartFrom(old)
			restartAll(t, nodes)
			goOn(l, nodes[1])
			l.wantGap(nodes, 11, 7)
		})
	}
}

// What only a reader at another node has seen, and no node's own append.
func TestLinesThatAReaderSawAreAGapWhenTheirWriterIsGone(t *testing.T) {
	s := redistest.Start(t)
	nodes, l := tenLines(t, s)
	tail := l.follow(nodes[1], 0)
	old := s.Snapshot()
	l.write(7)
	l.expect(tail, 0)
	tail.Close()
	nodes[0].stop(t)
	s.RestartFrom(old)
	restartAll(t, nodes[1:])
	nodes[0].config.Dir = t.TempDir() // another machine
	nodes[0].start(t)
	l.plain(nodes[0], 5)
	l.wantGap(nodes, 11, 7)
}

// The nodes have lost their folders, too. A writer whose offset is past the lines
// that Redis has is believed if Redis has restarted; otherwise it errs.
func TestAWriterIsBelievedWhereRedisRestarted(t *testing.T) {
	s := redistest.Start(t)
	nodes, l := tenLines(t, s)
	line := logs.Lines{Data: []byte("{}\n"), Count: 1, Offset: 18}
	var gap *logservice.SequenceError
	if _, err := nodes[1].Append(t.Context(), l.id, line); !errors.As(err, &gap) {
		t.Fatalf("an offset beyond the end: %v", err)
	}
	old := s.Snapshot()
	l.write(7)
	s.RestartFrom(old)
	for _, n := range nodes {
		n.config.Dir = t.TempDir()
	}
	restartAll(t, nodes)
	l.to = nodes[1]
	l.write(5)
	l.wantGap(nodes, 11, 7)
	line.Offset = 30
	if _, err := nodes[0].Append(t.Context(), l.id, line); !errors.As(err, &gap) || gap.Expected != 23 {
		t.Errorf("an offset beyond the end, once the log has gone on: %v", err)
	}
}

// A replica takes over with less than its master had, and another node than
// the one that appended goes on.
func TestWhatAFailOverLostIsKnownToOtherNodes(t *testing.T) {
	s := redistest.Start(t)
	nodes, l := tenLines(t, s)
	old := s.Snapshot()
	l.write(7)
	s.RestartFrom(old)
	meta := redis.MetaKey(nodes[0].Engine, l.id)
	eventually(t, "Redis knows how long the log was", func() bool { return s.Do("HGET", meta, "w") == "18" })
	l.plain(nodes[1], 5)
	l.wantGap(nodes, 11, 7)
}

// A log that was deleted does not return with an old snapshot, open or closed,
// whether or not the node that deleted it runs meanwhile.
func TestADeletedLogDoesNotReturnWithAnOldSnapshot(t *testing.T) {
	for name, c := range map[string]deletedLog{
		"open":                {},
		"open, all restart":   {restart: true},
		"closed":              {closed: true},
		"closed, all restart": {closed: true, restart: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

// deletedLog is a log that was deleted after a snapshot, which has it.
type deletedLog struct {
	closed  bool // in the snapshot
	restart bool // of the node that did not delete it
}

func (c deletedLog) run(t *testing.T) {
	s := redistest.Start(t)
	nodes, l := tenLines(t, s)
	old := s.Snapshot()
	l.close(nodes[0])
	if c.closed {
		old = s.Snapshot()
	}
	claim, err := nodes[0].Claim(t.Context(), l.id)
	if err != nil {
		t.Fatal(err)
	}
	if err := claim.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	silent := redis.NodeRun(nodes[0].Engine)
	nodes[0].stop(t)
	s.RestartFrom(old)
	s.Do("ZADD", redis.NodesKey(nodes[0].config), "-1000000", silent) // for longer than its lease
	if c.restart {
		restartAll(t, nodes[1:])
	}
	// Nobody archives it before the node that deleted it is back.
	eventually(t, "Redis is back", func() bool {
		due, err := nodes[1].Due(t.Context())
		if len(due) != 0 {
			t.Errorf("due are %v", due)
		}
		return err == nil
	})
	if _, err := nodes[1].Stat(t.Context(), l.id); err != nil {
		t.Errorf("the snapshot does not have the log: %v", err)
	}
	nodes[0].start(t)
	for _, n := range nodes {
		if info, err := n.Stat(t.Context(), l.id); !errors.Is(err, logservice.ErrStreamNotFound) {
			t.Errorf("a deleted log: %+v, %v", info, err)
		}
	}
	eventually(t, "nothing is left of it", func() bool { // once its last reader's node has been silent for its lease
		if _, err := nodes[1].Due(t.Context()); err != nil {
			t.Error(err)
		}
		return s.Do("KEYS", "*"+string(l.id.Key)+"*") == ""
	})
}

// One that was closed is closed again, and what it was truncated from is gone.
func TestACloseIsNotLostWithAnOldSnapshot(t *testing.T) {
	s := redistest.Start(t)
	nodes := quietNodes(t, s, 2)
	l, truncated := newLog(t, nodes[0]), newLog(t, nodes[0])
	l.write(10)
	truncated.write(10)
	old := s.Snapshot()
	l.write(7)
	how := logs.Closing{Archive: logs.ArchiveAlways, Incomplete: true}
	if err := nodes[1].Close(t.Context(), l.id, how); err != nil {
		t.Fatal(err)
	}
	if err := nodes[0].Open(t.Context(), truncated.id, logs.OpenOptions{Truncate: true}); err != nil {
		t.Fatal(err)
	}
	s.RestartFrom(old)
	restartAll(t, nodes)
	info, err := nodes[0].Stat(t.Context(), l.id)
	if err != nil || !info.Closed || info.How != how || info.Lines != 17 {
		t.Errorf("a closed log is %+v, %v", info, err)
	}
	l.wantGap(nodes, 11, 7)
	if info, err := nodes[0].Stat(t.Context(), truncated.id); !errors.Is(err, logservice.ErrStreamNotFound) {
		t.Errorf("lines that were dropped are back: %+v, %v", info, err)
	}
}

// Redis has lost a log as a whole: its readers come to an end, at once or when
// they ask again, and it can be opened anew.
func TestReadersOfALogThatRedisLostEnd(t *testing.T) {
	for name, lose := range map[string]func(s *redistest.Server, meta, data string){
		"FLUSHALL":         func(s *redistest.Server, _, _ string) { s.Do("FLUSHALL") },
		"FLUSHDB":          func(s *redistest.Server, _, _ string) { s.Do("FLUSHDB", "ASYNC") },
		"an empty restart": func(s *redistest.Server, _, _ string) { s.RestartFrom("") },
		"deleted keys":     func(s *redistest.Server, meta, data string) { s.Do("DEL", meta, data) },
		"an expired hash":  func(s *redistest.Server, meta, _ string) { s.Do("PEXPIRE", meta, "1") },
		"another type":     func(s *redistest.Server, _, data string) { s.Do("SET", data, "x") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			nodes, l := tenLines(t, s)
			tail := l.follow(nodes[1], 0)
			defer tail.Close()
			l.expect(tail, 0)
			readers := redis.ReadersKey(nodes[0].Engine, l.id)
			more := l.follow(nodes[1], 10)
			defer more.Close()
			lose(s, redis.MetaKey(nodes[0].Engine, l.id), redis.DataKey(nodes[0].Engine, l.id))
			more.Close() // reported to Redis before it is known to have lost the log
			ended(t, tail, logservice.ErrUnavailable, io.EOF)
			if name == "another type" {
				return // nobody but whoever did it can help
			}
			for _, n := range nodes {
				var err error
				eventually(t, "the log is gone", func() bool {
					_, err = n.Follow(t.Context(), l.id, 0)
					return !errors.Is(err, logservice.ErrUnavailable)
				})
				if !errors.Is(err, logservice.ErrStreamNotFound) {
					t.Errorf("a log that is lost: %v", err)
				}
			}
			tail.Close()
			again := newLog(t, nodes[1])
			again.id, again.lines = l.id, nil
			again.opened()
			again.write(3)
			again.read(nodes[0], 0)
			eventually(t, "no readers of the lost log are known", func() bool { return s.Do("EXISTS", readers) == "0" })
		})
	}
}

// Another program overwrites one log. Redis refuses to read it together with the
// others of its bucket, so these must be read without it.
func TestALogThatIsOverwrittenKeepsNoOtherFromBeingRead(t *testing.T) {
	s := redistest.Start(t)
	n := quietNodes(t, s, 1)[0]
	l, same := newLog(t, n), newLog(t, n)
	bucket := func(l *log) string { root, _, _ := strings.Cut(redis.MetaKey(n.Engine, l.id), "}"); return root }
	for bucket(same) != bucket(l) {
		same = newLog(t, n)
	}
	l.write(1)
	tail, other := l.follow(n, 0), same.follow(n, 0)
	defer tail.Close()
	defer other.Close()
	l.expect(tail, 0)
	same.write(10)
	same.expect(other, 0)
	s.Do("SET", redis.DataKey(n.Engine, l.id), "x")
	same.write(10) // wakes the read
	eventually(t, "Redis refuses a read", func() bool { return strings.Contains(s.Do("INFO", "errorstats"), "errorstat_WRONGTYPE") })
	eventually(t, "a read waits in Redis", func() bool { return s.Info("blocked_clients") == "1" })
	same.expect(calm{other}, 10)
	same.to = quietNodes(t, s, 1)[0] // what another node appends comes through Redis alone
	same.write(10)
	same.expect(calm{other}, 20)
}

// Links stay good: nodes that run give a flushed Redis the key that they share.
func TestTheKeyOfLinksOutlivesAFlush(t *testing.T) {
	s := redistest.Start(t)
	n := quietNodes(t, s, 1)[0]
	key, err := n.LinkKey(t.Context(), []byte("first"))
	if err != nil {
		t.Fatal(err)
	}
	s.Do("FLUSHALL")
	eventually(t, "the key is back", func() bool { return strings.Contains(s.Do("KEYS", "*"), "link-key") })
	if again, err := quietNodes(t, s, 1)[0].LinkKey(t.Context(), []byte("other")); err != nil || string(again) != string(key) {
		t.Errorf("links are signed with %q, and then with %q, %v", key, again, err)
	}
}

// The lines of a log are removed, and its hash is there: those who wrote and
// read it know how long it was.
func TestLinesThatAreRemovedAreAGap(t *testing.T) {
	s := redistest.Start(t)
	nodes, l := tenLines(t, s)
	tail := l.follow(nodes[1], 0)
	defer tail.Close()
	l.expect(tail, 0)
	s.Do("DEL", redis.DataKey(nodes[0].Engine, l.id))
	l.write(5)
	l.expect(calm{tail}, 10)
	l.wantGap(nodes[:1], 1, 10) // the other one has them in memory, for its reader
}

// Scripts and indexes that are removed return.
func TestWhatCanBeMadeAgainIs(t *testing.T) {
	s := redistest.Start(t)
	nodes, l := tenLines(t, s)
	s.Do("SCRIPT", "FLUSH")
	root, _, _ := strings.Cut(redis.MetaKey(nodes[0].Engine, l.id), "}")
	s.Do("DEL", root+"}:names", root+"}:due", root+"}:nodes", root+"}:clock")
	l.to = nodes[1]
	l.write(5)
	l.read(nodes[0], 0)
	if info, err := nodes[0].Stat(t.Context(), l.id); err != nil || info.Lines != 15 {
		t.Errorf("the log is %+v, %v", info, err)
	}
	if due := s.Do("ZRANGE", root+"}:due", "0", "-1"); !strings.Contains(due, string(l.id.Key)) {
		t.Errorf("nobody will see to the log once it is abandoned: due is %q", due)
	}
}

// Somebody removes the older lines of a live log from the bucket, or Redis is an
// old one that knows of lines which were removed with their log.
func TestOlderLinesThatAreNotInTheStoreAreAGap(t *testing.T) {
	s := redistest.Start(t)
	nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}, StreamMemory: 4 << 10, Logger: slog.New(slog.DiscardHandler)})
	l := newLog(t, nodes[0])
	store := nodes[0].config.Store
	for range 10 {
		l.write(20)
	}
	eventually(t, "older lines are in the store", func() bool { return stored(t, store) > 0 })
	for e, err := range store.List(t.Context(), logservice.InternalAccount, "") {
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Delete(t.Context(), logservice.ID{Account: logservice.InternalAccount, Key: e.Key}); err != nil {
			t.Fatal(err)
		}
		break
	}
	l.read(nodes[1], 0)
	if len(l.gaps) != 1 || l.gaps[0][0] != 1 {
		t.Errorf("readers got gaps %v, want one from 1 on", l.gaps)
	}
}
