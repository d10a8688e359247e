package redis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// A full Redis refuses lines, and nothing else: what moves, ends and removes
// logs frees its memory.
func TestAFullRedisEmptiesItself(t *testing.T) {
	s := redistest.Start(t)
	store := &held{Store: newStore(t), open: make(chan struct{})}
	n := &node{config: redis.Config{Addresses: []string{s.Addr}, StreamMemory: 1 << 20, Store: store, Logger: slog.New(slog.DiscardHandler)}}
	n.start(t)
	t.Cleanup(func() { n.stop(t) })
	var all []*log
	for range 4 {
		all = append(all, newLog(t, n))
	}
	limit := s.Info("used_memory")
	used, err := strconv.Atoi(limit)
	if err != nil {
		t.Fatal(err)
	}
	s.Do("CONFIG", "SET", "maxmemory", fmt.Sprint(used+8<<20))
	fill := func() {
		t.Helper()
		for i := 0; ; i++ {
			l := all[i%len(all)]
			l.writer.Pad = 10_000
			lines := l.writer.Lines(10)
			next, err := n.Append(t.Context(), l.id, logs.Lines{Data: []byte(strings.Join(lines, "\n") + "\n"), Count: 10, Offset: int64(len(l.lines) + 1)})
			if errors.Is(err, logservice.ErrUnavailable) && strings.Contains(err.Error(), "OOM") {
				return
			}
			if err != nil || next != int64(len(l.lines)+11) {
				t.Fatalf("append: %d, %v", next, err)
			}
			l.lines = append(l.lines, lines...)
		}
	}
	fill()
	s.Do("CONFIG", "SET", "maxmemory", fmt.Sprint(used+4<<20)) // answers that were under way took some, too
	all[0].awaitState(n, "Redis is full")
	all[0].read(n, 0)
	again := logs.Lines{Data: []byte(all[0].lines[0] + "\n"), Count: 1, Offset: 1}
	if next, err := n.Append(t.Context(), all[0].id, again); err != nil || next != int64(len(all[0].lines)+1) {
		t.Errorf("a retry of what it has: %d, %v", next, err)
	}
	close(store.open) // the blob store is back: older lines move
	for _, l := range all {
		l.write(1)
		l.read(n, 0)
	}
	// All logs hold as much as they may: what frees memory now is their end.
	s.Do("CONFIG", "SET", "maxmemory", "1mb")
	all[0].awaitState(n, "Redis is full")
	for _, l := range all {
		l.close(n)
		c, err := n.Claim(t.Context(), l.id)
		if err != nil {
			t.Fatal(err)
		}
		l.read(n, 0)
		if err := c.Delete(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "nothing is left in the store", func() bool { return stored(t, store) == 0 })
	s.Do("CONFIG", "SET", "maxmemory", fmt.Sprint(used+1<<20))
	l := newLog(t, n)
	l.write(10)
	l.read(n, 0)
	if err := n.Check(t.Context()); err != nil {
		t.Errorf("its state is %v", err)
	}
}

// Where readers see what replicas have, they see it while Redis is full, too.
func TestAFullRedisWithReplicasIsRead(t *testing.T) {
	s := redistest.StartSentinels(t)
	nodes := newNodes(t, 2, redis.Config{Addresses: s.Addrs, MasterName: redistest.MasterName, Replicas: 1})
	l := newLog(t, nodes[0])
	l.write(10)
	tail := l.follow(nodes[1], 0)
	defer tail.Close()
	l.expect(tail, 0)
	s.Master.Do("CONFIG", "SET", "maxmemory", "1mb")
	l.close(nodes[0])
	eventually(t, "a reader at the other node comes to the end", func() bool {
		_, err := tail.Next(t.Context())
		return errors.Is(err, io.EOF)
	})
	l.read(nodes[1], 0)
}

// held is a store that takes nothing until it is open.
type held struct {
	logs.Store
	open          chan struct{}
	puts, deletes atomic.Int64 // that were done
}

func (h *held) Put(ctx context.Context, id logservice.ID, r io.Reader, info logs.BlobInfo) error {
	select {
	case <-h.open:
		defer h.puts.Add(1)
		return h.Store.Put(ctx, id, r, info)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (h *held) Delete(ctx context.Context, id logservice.ID) error {
	defer h.deletes.Add(1)
	return h.Store.Delete(ctx, id)
}
