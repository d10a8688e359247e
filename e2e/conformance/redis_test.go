package conformance_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/s3/s3test"
	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// The conformance suite over Redis: through one server; and with three, of which
// the writer's batches go to two in turn and the reader's calls to the third.

func TestTheServerConformsOverRedis(t *testing.T) {
	t.Parallel()
	streamtest.Run(t, newNodes(t).backend(1))
}

func TestThreeServersConform(t *testing.T) {
	t.Parallel()
	streamtest.Run(t, newNodes(t).backend(3))
}

// nodes starts servers that share one Redis and one bucket.
type nodes struct {
	redis  *redistest.Server
	s3     *s3test.Server
	bucket string
	config config.Config // what all have
}

func newNodes(t *testing.T, args ...string) *nodes {
	n := &nodes{redis: redistest.Start(t, args...), s3: s3test.Run(t, s3test.Versity)}
	n.bucket = n.s3.Bucket(t)
	n.config = n.settings(n.redis.Addr)
	return n
}

// settings returns the settings of a server that uses Redis at addr and the bucket.
func (n *nodes) settings(addr string) config.Config {
	c := config.Default()
	c.Bind, c.GRPCBind = "127.0.0.1:0", config.GRPCOff
	c.Stream = config.StreamRedis
	c.Redis.Addresses = []string{addr}
	c.Redis.StreamMemory = redis.MinStreamMemory
	c.S3.Bucket, c.S3.Endpoint = n.bucket, n.s3.Endpoint()
	c.S3.AccessKeyID, c.S3.SecretAccessKey = s3test.AccessKey, s3test.SecretKey
	return c
}

var installations atomic.Int64

// backend returns servers with their own prefix: reads go to the last one, and
// batches alternate between the others, as through a balancer.
func (n *nodes) backend(servers int) streamtest.Backend {
	serving := map[logs.Streams][]*inProcess{} // one test at a time
	begin := func(t *testing.T, all []*inProcess) logs.Streams {
		for _, p := range all {
			p.start(t)
			p.client = newRemote(p.url)
		}
		s := &apart{remote: all[0].client, read: all[len(all)-1].client}
		for _, p := range all[:max(len(all)-1, 1)] {
			s.write = append(s.write, p.client)
		}
		serving[s] = all
		return s
	}
	return streamtest.Backend{
		Remote:     true,
		SlowReopen: true, // the engine's own tests have it in the model
		Open: func(t *testing.T) logs.Streams {
			c := n.config
			c.S3.Prefix = fmt.Sprint("e2e-", installations.Add(1))
			c.Redis.Prefix = c.S3.Prefix + ":"
			var all []*inProcess
			for range servers {
				c.Data = t.TempDir()
				p := &inProcess{config: c}
				t.Cleanup(func() { p.stop(t) })
				all = append(all, p)
			}
			t.Cleanup(func() { clear(serving) })
			return begin(t, all)
		},
		Reopen: func(t *testing.T, s logs.Streams) logs.Streams {
			all := serving[s]
			delete(serving, s)
			for _, p := range all {
				p.stop(t)
			}
			return begin(t, all)
		},
	}
}

// apart writes to several servers and reads from one.
type apart struct {
	*remote
	read  *remote
	write []*remote
	turn  atomic.Int64
}

func (a *apart) Append(ctx context.Context, id logservice.ID, l logs.Lines) (int64, error) {
	return a.write[int(a.turn.Add(1))%len(a.write)].Append(ctx, id, l)
}

func (a *apart) Follow(ctx context.Context, id logservice.ID, after int64) (logs.Cursor, error) {
	return a.read.Follow(ctx, id, after)
}

func (a *apart) List(ctx context.Context, f logs.Filter) ([]logs.Info, error) {
	return a.read.List(ctx, f)
}
