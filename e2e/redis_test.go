package e2e_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/faultproxy"
	"github.com/harness/log-service/internal/store/s3/s3test"
	"github.com/harness/log-service/internal/stream/redis/redistest"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// fleet is two processes over one Redis and one bucket, behind a balancer.
type fleet struct {
	t       *testing.T
	servers [2]*process
	door    *balancer
	s3      *s3test.Server
}

// newFleet starts the servers with more settings.
func newFleet(t *testing.T, env ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, s3: s3test.Run(t, s3test.Versity)}
	env = append([]string{
		"LOG_SERVICE_S3_BUCKET=" + f.s3.Bucket(t), "LOG_SERVICE_S3_ENDPOINT=" + f.s3.Endpoint(),
		"LOG_SERVICE_S3_ACCESS_KEY_ID=" + s3test.AccessKey, "LOG_SERVICE_S3_SECRET_ACCESS_KEY=" + s3test.SecretKey,
		"LOG_SERVICE_GRPC_BIND=off", "LOG_SERVICE_REDIS_STREAM_MEMORY=512KiB",
	}, env...)
	path := program(t)
	var addrs []string
	for i := range f.servers {
		f.servers[i] = startServer(t, path, append(env, fmt.Sprint("LOG_SERVICE_NODE=node-", i))...)
		addrs = append(addrs, f.servers[i].addr)
	}
	f.door = newBalancer(t, addrs)
	return f
}

// balancer gives each connection to the next server that takes it.
type balancer struct {
	listener net.Listener
	addrs    []string
	next     atomic.Int64
	work     sync.WaitGroup
}

func newBalancer(t *testing.T, addrs []string) *balancer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &balancer{listener: l, addrs: addrs}
	b.work.Go(b.accept)
	t.Cleanup(func() { _ = l.Close() })
	return b
}

func (b *balancer) url() string { return "http://" + b.listener.Addr().String() }

func (b *balancer) accept() {
	for {
		c, err := b.listener.Accept()
		if err != nil {
			return
		}
		b.work.Go(func() {
			defer c.Close()
			for range b.addrs {
				s, err := net.Dial("tcp", b.addrs[int(b.next.Add(1))%len(b.addrs)])
				if err != nil {
					continue
				}
				defer s.Close()
				b.work.Go(func() {
					_, _ = io.Copy(s, c)
					_ = s.Close()
				})
				_, _ = io.Copy(c, s)
				return
			}
		})
	}
}

// run writes a log of n lines through the balancer, follows it on both
// servers, and calls fault as often as rounds says, in even parts of the way.
// In the end all have the same lines, and so has the archive.
func (f *fleet) run(n, rounds int, fault func(round int)) {
	t := f.t
	t.Helper()
	limit := 2*time.Minute + time.Duration(rounds)*20*time.Second + time.Duration(n/1000)*time.Second
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("not done within %v", limit))
	defer cancel()
	const key = "faults/log"
	direct := newWire(f.door.url())
	if err := direct.open(ctx, key); err != nil {
		t.Fatal(err)
	}
	var seen atomic.Int64
	progress := make(chan struct{}, 1)
	var readers [3]*hashing
	var gaps [3][]string
	tails, ctx := errgroup.WithContext(ctx)
	for i := range readers {
		readers[i] = &hashing{sha256.New(), 0}
		r := tailer{wire: newWire(f.door.url()), key: key, line: func(seq int64, json []byte) error {
			if i == 0 {
				seen.Store(seq)
				select {
				case progress <- struct{}{}:
				default:
				}
			}
			if bytes.HasPrefix(json, []byte(`{"gap"`)) {
				gaps[i] = append(gaps[i], string(json))
			}
			return readers[i].line(seq, json)
		}}
		tails.Go(func() error { return r.run(ctx) })
	}
	var sent *hashing
	tails.Go(func() (err error) {
		sent, err = writeThrough(ctx, newWire(f.door.url()), key, n)
		if err == nil {
			err = direct.close(ctx, key, "snapshot=true")
		}
		return err
	})
	for round := range rounds {
		for seen.Load() < int64(n*(round+1)/(rounds+1)) {
			select {
			case <-progress:
			case <-ctx.Done():
				t.Fatalf("round %d, behind line %d: %v %v", round, seen.Load(), context.Cause(ctx), tails.Wait())
			}
		}
		fault(round)
	}
	if err := tails.Wait(); err != nil {
		t.Fatal(err)
	}
	for i, gap := range gaps {
		for _, g := range gap {
			t.Errorf("reader %d is told %s", i, g)
		}
	}
	for i, r := range readers {
		if r.lines != n || r.String() != sent.String() {
			t.Errorf("reader %d has %d lines of SHA-256 %v, sent were %d of %v", i, r.lines, r, sent.lines, sent)
		}
	}
	archived := &hashing{sha256.New(), 0}
	late := tailer{wire: newWire(f.door.url()), key: key, line: archived.line}
	if err := late.run(t.Context()); err != nil || archived.lines != n || archived.String() != sent.String() {
		t.Errorf("the archive has %d lines of SHA-256 %v, sent were %d of %v (%v)", archived.lines, archived, sent.lines, sent, err)
	}
}

// TestLogsSurviveWhatHappensToRedis kills Redis, hangs it, and cuts the
// connections to it at random bytes.
func TestLogsSurviveWhatHappensToRedis(t *testing.T) {
	rounds := streamtest.Scale(3, 3, 50)
	lines := streamtest.Scale(20_000, 60_000, 1_000_000)
	redis := redistest.Start(t, "--appendfsync", "always") // what it acknowledged is to survive
	proxy := startProxy(t, faultproxy.Config{
		Target: redis.Addr, Seed: 3,
		Up: faultproxy.Range{Min: 1, Max: int64(lines) * 60}, Down: faultproxy.Range{Min: 1, Max: int64(lines) * 60},
	})
	f := newFleet(t, "LOG_SERVICE_REDIS_ENDPOINT="+proxy.Addr())
	f.run(lines, rounds, func(round int) {
		switch round % 3 {
		case 0:
			redis.Kill()
			redis.Restart()
		case 1:
			redis.Pause()
			pause := 1500 * time.Millisecond
			if round > 3 {
				pause = 7 * time.Second // longer than a call may take
			}
			<-time.After(pause)
			redis.Resume()
		case 2:
			proxy.CutAll()
		}
	})
	t.Logf("%d connections were cut", proxy.Cuts())
	if proxy.Cuts() < 3 {
		t.Errorf("only %d connections to Redis were cut: this shows little", proxy.Cuts())
	}
	for _, s := range f.servers {
		s.stop()
	}
}

// TestLogsSurviveFailOvers kills the master again and again; what was
// acknowledged is on the replica that takes over.
func TestLogsSurviveFailOvers(t *testing.T) {
	rounds := streamtest.Scale(1, 1, 10)
	lines := streamtest.Scale(20_000, 40_000, 1_000_000)
	s := redistest.StartSentinels(t)
	f := newFleet(t, "LOG_SERVICE_REDIS_USE_SENTINEL=true", "LOG_SERVICE_REDIS_MASTER_NAME="+redistest.MasterName,
		"LOG_SERVICE_REDIS_SENTINEL_ADDRS="+strings.Join(s.Addrs, ","), "LOG_SERVICE_REDIS_REPLICAS=1")
	f.run(lines, rounds, func(int) {
		s.AwaitReplicas()
		s.Master.Kill()
		s.AwaitMaster(s.Replica)
		s.Master.Restart() // the sentinels make it a replica
		s.Master, s.Replica = s.Replica, s.Master
	})
}

// TestANodeThatIsKilledLosesNothing kills servers in the middle of writing and
// following, which go on at the other one; and one that has closed a log and
// could not archive it, which the other one then does.
func TestANodeThatIsKilledLosesNothing(t *testing.T) {
	rounds := streamtest.Scale(2, 3, 50)
	redis := redistest.Start(t)
	f := newFleet(t, "LOG_SERVICE_REDIS_ENDPOINT="+redis.Addr)
	f.run(streamtest.Scale(20_000, 60_000, 1_000_000), rounds, func(round int) {
		s := f.servers[round%2]
		s.kill()
		s.start()
	})

	ctx := t.Context()
	first, second := f.servers[0], f.servers[1]
	direct := newWire(first.url)
	const key = "orphan/log"
	if err := direct.open(ctx, key); err != nil {
		t.Fatal(err)
	}
	sent, err := writeThrough(ctx, direct, key, 20_000)
	if err != nil {
		t.Fatal(err)
	}
	f.s3.Hang()
	if err := direct.close(ctx, key, "snapshot=true"); err != nil {
		t.Fatal(err)
	}
	first.kill()
	f.s3.Resume()
	archived := &hashing{sha256.New(), 0}
	late := tailer{wire: newWire(second.url), key: key, line: archived.line}
	if err := late.run(ctx); err != nil || archived.String() != sent.String() {
		t.Errorf("the closed log has %d lines of SHA-256 %v, sent were %d of %v (%v)", archived.lines, archived, sent.lines, sent, err)
	}
	awaitArchive(t, second, key)
}

// awaitArchive waits until a log is archived, and its stream gone.
func awaitArchive(t *testing.T, s *process, key string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(60 * time.Second)
	for {
		state := string(s.command(nil, "cistream", "info", "-o", "json", "--account", "acc"))
		if !strings.Contains(state, key) && stateOf(t, s, key) == "archived" {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s is not archived by the other server: %s", key, state)
		}
	}
}

// stateOf is where a server says that it has a log.
func stateOf(t *testing.T, s *process, key string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/stream?accountID=acc&key="+key, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.Header.Get(logservice.HeaderState)
}
