package redis_test

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// newNodes starts nodes over the same Redis and the same store.
func newNodes(t testing.TB, n int, c redis.Config) []*node {
	t.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	c.Store = newStore(t)
	var all []*node
	for i := range n {
		c.Node, c.Dir = fmt.Sprint("node ", i), t.TempDir()
		x := &node{config: c}
		x.start(t)
		t.Cleanup(func() { x.stop(t) })
		all = append(all, x)
	}
	return all
}

func TestAThousandTailersAreOneReader(t *testing.T) {
	s := redistest.Start(t)
	n := newNodes(t, 1, redis.Config{Addresses: []string{s.Addr}})[0]
	l := newLog(t, n)
	var tails []logs.Cursor
	for range 1000 {
		tails = append(tails, l.follow(n, 0))
	}
	eventually(t, "one blocked client", func() bool { return s.Info("blocked_clients") == "1" })
	before := calls(s, "xread")
	const batches = 200
	for range batches {
		l.write(10)
		l.expect(tails[0], int64(len(l.lines)-10))
	}
	for _, c := range tails[1:] {
		l.expect(c, 0)
	}
	if got := calls(s, "xread") - before; got > batches+10 {
		t.Errorf("%d reads of %d batches for 1000 tailers", got, batches)
	}
	// On a slow machine the first lines have left the memory by now; then they
	// are read once for all.
	if got := calls(s, "xrange"); got > batches {
		t.Errorf("%d reads of old lines by 999 tailers of %d batches", got, batches)
	}
	eventually(t, "a thousand subscribers are known", func() bool {
		info, err := n.Stat(t.Context(), l.id)
		return err == nil && info.Subscribers == 1000
	})
	for _, c := range tails {
		c.Close()
	}
	eventually(t, "no blocked client", func() bool { return s.Info("blocked_clients") == "0" })
	before = calls(s, "xread")
	for range 20 {
		l.write(10)
	}
	if got := calls(s, "xread") - before; got != 0 {
		t.Errorf("%d reads for nobody", got)
	}
}

// calls is how often Redis was asked for a command.
func calls(s *redistest.Server, command string) int {
	for line := range strings.Lines(s.Do("INFO", "commandstats")) {
		if v, ok := strings.CutPrefix(line, "cmdstat_"+command+":calls="); ok {
			n, _ := strconv.Atoi(v[:strings.IndexByte(v, ',')])
			return n
		}
	}
	return 0
}

func TestInfoIsOfAllNodes(t *testing.T) {
	s := redistest.Start(t)
	nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}})
	l := newLog(t, nodes[0])
	l.write(5)
	for i, n := range nodes {
		for range 3 + i {
			c := l.follow(n, 0)
			defer c.Close()
		}
	}
	for _, n := range nodes {
		eventually(t, "seven subscribers", func() bool {
			info, err := n.Stat(t.Context(), l.id)
			return err == nil && info.Subscribers == 7 && info.Lines == 5 && info.Node == "node 0" && info.TTL > logservice.DefaultTTL-time.Minute
		})
	}
	l.to = nodes[1]
	l.write(1)
	if info, err := nodes[0].Stat(t.Context(), l.id); err != nil || info.Node != "node 1" {
		t.Errorf("written through node 1, it is %+v, %v", info, err)
	}
}

func TestAClosedLogIsClaimedByOneNodeUntilThatDies(t *testing.T) {
	s := redistest.Start(t)
	nodes := newNodes(t, 3, redis.Config{Addresses: []string{s.Addr}})
	l := newLog(t, nodes[0])
	l.write(3)
	l.close(nodes[1])
	mine, err := nodes[0].Claim(t.Context(), l.id)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range nodes[1:] {
		if _, err := n.Claim(t.Context(), l.id); !errors.Is(err, logs.ErrClaimed) {
			t.Fatalf("a second claim: %v", err)
		}
		if due, err := n.Due(t.Context()); err != nil || len(due) != 0 {
			t.Fatalf("due at another node: %+v, %v", due, err)
		}
	}
	// The node is silent for longer than its lease, as one that hangs is.
	var theirs logs.Claim
	eventually(t, "the claim of a dead node is taken over", func() bool {
		s.Do("ZADD", redis.NodesKey(nodes[0].config), "-1000000", redis.NodeRun(nodes[0].Engine))
		if _, err := nodes[1].Due(t.Context()); err != nil {
			t.Fatal(err)
		}
		theirs, err = nodes[1].Claim(t.Context(), l.id)
		return err == nil
	})
	if err := mine.Commit(t.Context()); !errors.Is(err, logs.ErrClaimed) {
		t.Errorf("the lost claim: %v", err)
	}
	if err := mine.Delete(t.Context()); !errors.Is(err, logservice.ErrStreamNotFound) {
		t.Errorf("deleting by the lost claim: %v", err)
	}
	l.read(nodes[2], 0)
	if err := theirs.Delete(t.Context()); err != nil {
		t.Error(err)
	}
}

// Whoever replaces or deletes a log takes it from the node that archives it,
// but not while that puts the archive in its place.
func TestAClosedLogIsTakenFromTheNodeThatArchivesIt(t *testing.T) {
	s := redistest.Start(t)
	nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}})
	l := newLog(t, nodes[0])
	l.write(3)
	l.close(nodes[0])
	archiver, err := nodes[0].Claim(t.Context(), l.id)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := nodes[1].Take(t.Context(), l.id)
	if err != nil {
		t.Fatal(err)
	}
	if err := archiver.Commit(t.Context()); !errors.Is(err, logs.ErrClaimed) {
		t.Errorf("an archive may replace what replaces it: %v", err)
	}
	taken.Release(t.Context())
	if archiver, err = nodes[0].Claim(t.Context(), l.id); err != nil {
		t.Fatal(err)
	}
	if err := archiver.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := nodes[1].Take(t.Context(), l.id); !errors.Is(err, logs.ErrClaimed) {
		t.Errorf("taken while the archive is put in its place: %v", err)
	}
	archiver.Rollback(t.Context())
	if taken, err = nodes[1].Take(t.Context(), l.id); err != nil {
		t.Fatal(err)
	}
	l.read(nodes[1], 0)
	if err := taken.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := archiver.Delete(t.Context()); !errors.Is(err, logservice.ErrStreamNotFound) {
		t.Errorf("the archiver deletes what is gone: %v", err)
	}
}

func TestAClockThatJumpsExpiresNothing(t *testing.T) {
	s := redistest.Start(t)
	nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}})
	l := newLog(t, nodes[0])
	l.write(1)
	ttl := func() time.Duration {
		info, err := nodes[1].Stat(t.Context(), l.id)
		if err != nil {
			t.Fatal(err)
		}
		return info.TTL
	}
	for _, jump := range []time.Duration{365 * 24 * time.Hour, -365 * 24 * time.Hour} {
		before := ttl()
		// Redis's clock was a year off when somebody looked last.
		wall := time.Now().Add(-jump).UnixMilli()
		s.Do("HSET", redis.ClockKey(nodes[0].config), "wall", fmt.Sprint(wall))
		for _, n := range nodes {
			if due, err := n.Due(t.Context()); err != nil || len(due) != 0 {
				t.Fatalf("a jump of %v makes due: %+v, %v", jump, due, err)
			}
		}
		if after := ttl(); before-after > 20*time.Second || after > before {
			t.Errorf("a jump of %v: the time to live was %v and is %v", jump, before, after)
		}
	}
}

func TestOldLinesMoveToTheStoreAndBack(t *testing.T) {
	s := redistest.Start(t)
	nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}, StreamMemory: 256 << 10, Memory: 1 << 20})
	l := newLog(t, nodes[0])
	early := l.follow(nodes[1], 0)
	for range 400 {
		l.write(100) // 6 MB in all
	}
	held := func() int64 {
		n, _ := strconv.ParseInt(s.Do("MEMORY", "USAGE", redis.DataKey(nodes[0].Engine, l.id)), 10, 64)
		return n
	}
	eventually(t, "Redis holds little", func() bool { return held() < 400<<10 })
	if n := stored(t, nodes[0].config.Store); n < 10 {
		t.Errorf("%d segments are in the store", n)
	}
	l.expect(early, 0)
	early.Close()
	l.read(nodes[0], 0)
	l.read(nodes[1], 12345)
	late := l.follow(nodes[1], 100)
	l.close(nodes[1])
	if err := nodes[0].Delete(t.Context(), l.id); err != nil {
		t.Fatal(err)
	}
	l.expect(late, 100) // also when it is deleted
	if _, err := late.Next(t.Context()); !errors.Is(err, io.EOF) {
		t.Errorf("after the last line: %v", err)
	}
	late.Close()
	eventually(t, "nothing is left in the store", func() bool { return stored(t, nodes[0].config.Store) == 0 })
	eventually(t, "nothing is left in Redis", func() bool { return !strings.Contains(s.Do("KEYS", "*"), string(l.id.Key)) })
}

func TestALateReaderMayBeginAnywhereInALargeAppend(t *testing.T) {
	s := redistest.Start(t)
	nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}})
	l := newLog(t, nodes[0])
	l.write(3000) // one entry, which readers are given as several batches
	l.write(10)
	for after := int64(0); after < 3010; after += 501 {
		l.read(nodes[1], after)
	}
}

func stored(t testing.TB, store logs.Store) (n int) {
	t.Helper()
	for _, err := range store.List(t.Context(), logservice.InternalAccount, "") {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

func TestWhatAFailOverLostIsAGap(t *testing.T) {
	s := redistest.StartSentinels(t)
	c := redis.Config{Addresses: s.Addrs, MasterName: redistest.MasterName, Logger: slog.New(slog.DiscardHandler)}
	nodes := newNodes(t, 2, c)
	l := newLog(t, nodes[0])
	l.write(10)
	tail := l.follow(nodes[1], 0)
	defer tail.Close()
	l.expect(tail, 0)
	s.AwaitReplicas()
	s.Replica.Pause()
	s.Master.Do("CLIENT", "KILL", "TYPE", "replica") // nothing more reaches it
	l.write(7)
	l.expect(tail, 10)
	s.Master.Kill()
	s.Replica.Resume()
	s.AwaitMaster(s.Replica)
	l.write(5) // goes on at the next sequence: none is given twice
	l.expect(tail, 17)
	l.wantNoGap()
	l.wantGap(nodes[:1], 11, 7)
}
