package redis_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// loseNewest removes the newest entry as if Redis had never had it.
const loseNewest = `
local newest = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 2)
redis.call('XDEL', KEYS[1], newest[1][1])
return redis.call('XSETID', KEYS[1], newest[2][1])`

// Redis loses lines, and another node, which had not seen them, adds as many. The
// sequences of the first node fit, but what it knows of recent appends does not.
func TestARetryOfLinesInPlaceOfLostOnesIsRecognized(t *testing.T) {
	s := redistest.Start(t)
	nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}})
	l := newLog(t, nodes[0])
	add := func(n *node, i int) {
		t.Helper()
		if _, err := n.Append(t.Context(), l.id, marked(i)); err != nil {
			t.Fatal(err)
		}
	}
	add(nodes[0], 0)
	add(nodes[0], 1)
	s.Do("EVAL", loseNewest, "1", redis.DataKey(nodes[0].Engine, l.id))
	add(nodes[1], 2)

	s.Do("CLIENT", "PAUSE", "60000", "WRITE")
	done := make(chan error, 1)
	go func() {
		_, err := nodes[0].Append(t.Context(), l.id, marked(3))
		done <- err
	}()
	eventually(t, "the append waits for Redis", func() bool {
		for client := range strings.Lines(s.Do("CLIENT", "LIST")) {
			if strings.Contains(client, "cmd=xadd") && strings.Contains(client, " flags=b") {
				return true
			}
		}
		return false
	})
	redis.Redial(nodes[0].Engine) // it connects anew while the append is on its way
	s.Do("CLIENT", "UNPAUSE")
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	before, err := nodes[0].Stat(t.Context(), l.id)
	if err != nil {
		t.Fatal(err)
	}
	for i := 2; i < 4; i++ {
		add(nodes[0], i)
	}
	if after, err := nodes[0].Stat(t.Context(), l.id); err != nil || after.Bytes != before.Bytes {
		t.Errorf("the log grew from %d to %d bytes by retries, %v", before.Bytes, after.Bytes, err)
	}
}

// spoiled is a blob store that flips a bit of every blob from some byte on.
type spoiled struct {
	logs.Store
	at int64
}

func (s *spoiled) Get(ctx context.Context, id logservice.ID) (logs.Blob, error) {
	b, err := s.Store.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	if s.at < 0 {
		return nil, errors.Join(fmt.Errorf("%w: its record", logs.ErrDamaged), b.Close())
	}
	return spoiledBlob{b, s.at}, nil
}

type spoiledBlob struct {
	logs.Blob
	at int64
}

func (b spoiledBlob) Range(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	r, err := b.Blob.Range(ctx, offset, length)
	if err != nil {
		return nil, err
	}
	at := b.at - offset
	if b.at >= b.Info().Size {
		at = b.Info().Size - 1 - offset
	}
	return &spoiledRange{r, at}, nil
}

type spoiledRange struct {
	io.ReadCloser
	at int64 // of the bit, from here
}

func (r *spoiledRange) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if r.at >= 0 && r.at < int64(n) {
		p[r.at] ^= 1
	}
	r.at -= int64(n)
	return n, err
}

// A segment of a live log that is damaged is a gap for its readers, as damaged
// records are: they, and the archive of the log, go on after it.
func TestADamagedSegmentIsAGap(t *testing.T) {
	s := redistest.Start(t)
	for name, at := range map[string]int64{"its first lines": 100, "its index": 1 << 40, "its record": -1} {
		t.Run(name, func(t *testing.T) {
			nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}, Prefix: name + ":", StreamMemory: 16 << 10})
			l := newLog(t, nodes[0])
			for range 4 {
				l.write(3000)
				eventually(t, "older lines are in the store", func() bool { return redis.Offloads(nodes[0].Engine) == 0 })
			}
			if stored(t, nodes[0].config.Store) == 0 {
				t.Fatal("there are no segments")
			}
			redis.SetStore(nodes[1].Engine, &spoiled{nodes[1].config.Store, at})
			l.read(nodes[1], 0)
			lost := int64(0)
			for _, g := range l.gaps {
				lost += g[1]
			}
			if lost == 0 || lost == int64(len(l.lines)) {
				t.Errorf("%d of %d lines are in gaps", lost, len(l.lines))
			}
			c := l.follow(nodes[1], 0)
			defer c.Close()
			if b, err := c.Next(t.Context()); err != nil || !strings.Contains(string(b[0].Data), `"damage":`) {
				t.Errorf("the gap does not say why: %v", err)
			}
		})
	}
}
