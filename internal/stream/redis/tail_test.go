package redis_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// A balancer gives each request of a writer to another node.
func TestAWriterWhoseBatchesGoToAllNodesInTurn(t *testing.T) {
	s := redistest.Start(t)
	nodes := newNodes(t, 3, redis.Config{Addresses: []string{s.Addr}, StreamMemory: 64 << 10})
	l := newLog(t, nodes[0])
	for i := range 300 {
		l.to = nodes[i%len(nodes)]
		l.write(1 + i%20)
	}
	for _, n := range nodes {
		l.read(n, 0)
	}
	l.close(nodes[1])
	for _, n := range nodes {
		if _, err := n.Append(t.Context(), l.id, logs.Lines{Data: []byte("{}\n"), Count: 1}); !errors.Is(err, logservice.ErrStreamNotFound) {
			t.Errorf("appending to a log that another node has closed: %v", err)
		}
	}
}

// Writers at several nodes at once: each append is there once, whole, and at
// the sequence that it was answered.
func TestNodesThatAppendToOneLogAtOnce(t *testing.T) {
	s := redistest.Start(t)
	nodes := newNodes(t, 3, redis.Config{Addresses: []string{s.Addr}, StreamMemory: 1 << 20})
	l := newLog(t, nodes[0])
	const writers, appends = 9, 40
	var got [writers][appends]int64 // the next sequence after each append
	lines := func(w, i int) []string {
		n := 1 + i%5
		if i%10 == 9 {
			n = 300 // more than one entry holds
		}
		var all []string
		for x := range n {
			all = append(all, fmt.Sprintf(`{"pos":%d,"time":1,"out":"%d/%d %s"}`, x, w, i, strings.Repeat("x", 1000)))
		}
		return all
	}
	var g errgroup.Group
	for w := range writers {
		g.Go(func() error {
			for i := range appends {
				all := lines(w, i)
				a := logs.Lines{Data: []byte(strings.Join(all, "\n") + "\n"), Count: int64(len(all)), Dedupe: true}
				for range 2 { // each is tried again, at another node
					next, err := patient{nodes[(w+i)%3]}.Append(t.Context(), l.id, a)
					if err != nil {
						return err
					}
					if got[w][i] == 0 {
						got[w][i] = next
					}
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	for w := range writers {
		for i := range appends {
			all := lines(w, i)
			first := got[w][i] - int64(len(all))
			for len(l.lines) < int(got[w][i]-1) {
				l.lines = append(l.lines, "")
			}
			for x, line := range all {
				if at := &l.lines[int(first)-1+x]; *at != "" {
					t.Fatalf("append %d of writer %d got the sequences of another one", i, w)
				} else {
					*at = line
				}
			}
		}
	}
	if i := slices.Index(l.lines, ""); i >= 0 {
		t.Fatalf("nobody got sequence %d", i+1)
	}
	for _, n := range nodes {
		l.read(n, 0)
	}
	info, err := nodes[2].Stat(t.Context(), l.id)
	if size := int64(len(strings.Join(l.lines, "\n")) + 1); err != nil || info.Lines != int64(len(l.lines)) || info.Bytes != size {
		t.Errorf("the log is %+v, %v; want %d lines of %d bytes", info, err, len(l.lines), size)
	}
}

// Redis lost lines and no connection broke: no node noticed. The lines that a
// writer adds afterwards are not taken for them, in Redis and in segments.
func TestWhatRedisLostUnnoticedIsAGap(t *testing.T) {
	s := redistest.Start(t)
	for name, memory := range map[string]int64{"in Redis": 1 << 20, "in segments": 2 << 10} {
		t.Run(name, func(t *testing.T) {
			c := redis.Config{Addresses: []string{s.Addr}, Prefix: name + ":", StreamMemory: memory}
			nodes := newNodes(t, 2, c)
			l := newLog(t, nodes[0])
			l.write(10)
			tail := l.follow(nodes[1], 0)
			l.expect(tail, 0)
			key := redis.DataKey(nodes[0].Engine, l.id)
			s.Do("COPY", key, key+"-before")
			l.write(7)
			l.expect(tail, 10)
			s.Do("COPY", key+"-before", key, "REPLACE")
			for range 5 {
				l.write(20)
			}
			l.expect(tail, 17)
			tail.Close()
			l.wantNoGap()
			if memory == 2<<10 {
				eventually(t, "older lines are in segments", func() bool { return stored(t, nodes[0].config.Store) > 0 })
			}
			l.wantGap(nodes, 11, 7)
			l.close(nodes[1])
		})
	}
}

// What Redis lost and its writer still has is stored, whoever has seen it: a
// writer that repeats an offset was not answered that it was stored.
func TestWhatRedisLostAndTheWriterHasIsStored(t *testing.T) {
	s := redistest.Start(t)
	for i := range 2 {
		t.Run(fmt.Sprint("node ", i), func(t *testing.T) {
			nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}, Prefix: fmt.Sprintf("retry-%d:", i)})
			l := newLog(t, nodes[0])
			l.write(10)
			tail := l.follow(nodes[1], 0)
			defer tail.Close()
			key := redis.DataKey(nodes[0].Engine, l.id)
			s.Do("COPY", key, key+"-before")
			lost := l.writer
			l.write(7)
			l.expect(tail, 0)
			s.Do("COPY", key+"-before", key, "REPLACE")
			l.writer, l.lines, l.to = lost, l.lines[:10], nodes[i]
			l.write(7)
			l.write(5)
			l.expect(tail, 17)
			late := l.follow(nodes[1-i], 0)
			defer late.Close()
			l.expect(late, 0)
			l.wantNoGap()
		})
	}
}

// What Redis lost and nobody has any more is reported when the log is closed.
func TestWhatIsLostBeforeTheEndIsAGap(t *testing.T) {
	s := redistest.Start(t)
	for i := range 2 {
		t.Run(fmt.Sprint("node ", i), func(t *testing.T) {
			nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}, Prefix: fmt.Sprintf("end-%d:", i)})
			l := newLog(t, nodes[0])
			l.write(10)
			tail := l.follow(nodes[1], 0)
			key := redis.DataKey(nodes[0].Engine, l.id)
			s.Do("COPY", key, key+"-before")
			l.write(7)
			l.expect(tail, 0)
			s.Do("COPY", key+"-before", key, "REPLACE")
			l.to = nodes[i]
			l.close(nodes[i])
			l.expect(tail, 17)
			tail.Close()
			l.wantGap(nodes[1-i:2-i], 11, 7)
		})
	}
}
