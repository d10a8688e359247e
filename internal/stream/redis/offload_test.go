package redis_test

import (
	"context"
	"io"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// holding is a blob store that holds up one deletion of what it does not have: an
// offloader deletes what a dead one may have stored after it has seen how much a
// stream holds.
type holding struct {
	logs.Store
	once     sync.Once
	deleting chan struct{} // closed when the deletion has begun
	release  chan struct{}
	onPut    func() // called before each blob is stored
}

func (h *holding) Put(ctx context.Context, id logservice.ID, r io.Reader, info logs.BlobInfo) error {
	h.onPut()
	return h.Store.Put(ctx, id, r, info)
}

func (h *holding) Delete(ctx context.Context, id logservice.ID) error {
	if strings.HasSuffix(string(id.Key), "-left") {
		h.once.Do(func() {
			close(h.deleting)
			<-h.release
		})
		return nil
	}
	return h.Store.Delete(ctx, id)
}

// Lines that are added after an offloader has seen that little is left, and before
// it has ended, are offloaded, though nothing is appended after them: whether the
// same node added them or another one, which found that somebody offloads already.
func TestLinesThatComeWhileAnOffloadEndsAreOffloaded(t *testing.T) {
	const limit = 16 << 10
	s := redistest.Start(t)
	for i, name := range []string{"by the same node", "by another node"} {
		t.Run(name, func(t *testing.T) {
			nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}, Prefix: name + ":", StreamMemory: limit})
			l := newLog(t, nodes[0])
			h := &holding{Store: nodes[0].config.Store, deleting: make(chan struct{}), release: make(chan struct{})}
			l.write(1)
			key := strings.Replace(redis.DataKey(nodes[0].Engine, l.id), "}:d:", "}:q:", 1)
			h.onPut = func() { s.Do("HSET", key, "1-2-left", redis.NodeRun(nodes[0].Engine)) }
			redis.SetStore(nodes[0].Engine, h)
			held := func() int {
				n, _ := strconv.Atoi(s.Do("MEMORY", "USAGE", redis.DataKey(nodes[0].Engine, l.id)))
				return n
			}
			for size := 0; size < limit; { // so few entries that the first segment takes all but the newest
				before := len(l.lines)
				l.write(10)
				size += len(strings.Join(l.lines[before:], "\n")) + 1
			}
			select {
			case <-h.deleting:
			case <-time.After(patience):
				t.Fatal("nothing is offloaded")
			}
			l.to = nodes[i]
			l.write(300) // one entry, of twice the limit
			l.write(1)
			eventually(t, "another node leaves it to the one that offloads", func() bool { return redis.Offloads(nodes[1].Engine) == 0 })
			close(h.release)
			eventually(t, "no more is left than a stream may hold", func() bool { return held() < limit*3/2 })
		})
	}
}
