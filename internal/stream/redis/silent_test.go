package redis_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// A node hangs while it stores a segment, for longer than its lease. Another one
// goes on, and what the first stores at last is no segment and does not stay: when
// the log goes on, and when it is deleted and reaped meanwhile.
func TestAPartThatIsStoredTooLateIsRemoved(t *testing.T) {
	s := redistest.Start(t)
	for _, deleted := range []bool{false, true} {
		t.Run(map[bool]string{false: "the log goes on", true: "the log is deleted"}[deleted], func(t *testing.T) {
			c := redis.Config{Addresses: []string{s.Addr}, StreamMemory: 4 << 10, Logger: slog.New(slog.DiscardHandler), Node: "silent"}
			nodes := newNodes(t, 1, c)
			store := nodes[0].config.Store
			late := &held{Store: store, open: make(chan struct{})}
			silent := &node{config: c}
			silent.config.Store = late
			silent.start(t)
			t.Cleanup(func() { silent.stop(t) })
			l := newLog(t, silent)
			for range 3 {
				l.write(20)
			}
			key := redis.DataKey(silent.Engine, l.id)
			unrecorded := func() string { return s.Do("HLEN", strings.Replace(key, "}:d:", "}:q:", 1)) }
			eventually(t, "a segment is being stored", func() bool { return unrecorded() == "1" })
			l.to = nodes[0]
			eventually(t, "another node moves", func() bool {
				s.Do("ZADD", redis.NodesKey(c), "-1000000", redis.NodeRun(silent.Engine))
				l.write(20)
				return stored(t, store) > 0
			})
			if deleted {
				if err := nodes[0].Delete(t.Context(), l.id); err != nil {
					t.Fatal(err)
				}
				eventually(t, "nothing is left in the store", func() bool {
					s.Do("ZADD", redis.NodesKey(c), "-1000000", redis.NodeRun(silent.Engine))
					return stored(t, store) == 0
				})
			}
			close(late.open)
			eventually(t, "the segment that came late is removed", func() bool { return late.puts.Load() > 0 && late.deletes.Load() > 0 })
			if deleted {
				eventually(t, "nothing is left", func() bool { return stored(t, store) == 0 && !strings.Contains(s.Do("KEYS", "*"), string(l.id.Key)) })
				return
			}
			l.write(20)
			l.read(nodes[0], 0)
			l.read(silent, 0)
			if err := nodes[0].Delete(t.Context(), l.id); err != nil {
				t.Fatal(err)
			}
			eventually(t, "nothing is left", func() bool { return stored(t, store) == 0 && !strings.Contains(s.Do("KEYS", "*"), string(l.id.Key)) })
		})
	}
}
