package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/harness/log-service/internal/store/s3/s3test"
)

// streamMemory is how many bytes of a stream a fleet keeps in Redis before older
// lines are offloaded to the bucket.
const streamMemory = 512 << 10

// fleet is two server processes that share Redis and a bucket, behind a balancer.
type fleet struct {
	t       *testing.T
	servers [2]*process
	door    *balancer
	s3      *s3test.Server
	bucket  string
}

// newFleet starts the servers from the program at path, with additional settings.
func newFleet(t *testing.T, path string, env ...string) *fleet {
	t.Helper()
	return newFleetEach(t, path, func(*fleet, int) []string { return nil }, env...)
}

// newFleetEach starts the servers with additional settings, including some for each
// server.
func newFleetEach(t *testing.T, path string, each func(f *fleet, server int) []string, env ...string) *fleet {
	t.Helper()
	f := &fleet{t: t, s3: s3test.Run(t, s3test.Versity)}
	f.bucket = f.s3.Bucket(t)
	env = append([]string{
		"LOG_SERVICE_S3_BUCKET=" + f.bucket, "LOG_SERVICE_S3_ENDPOINT=" + f.s3.Endpoint(),
		"LOG_SERVICE_S3_ACCESS_KEY_ID=" + s3test.AccessKey, "LOG_SERVICE_S3_SECRET_ACCESS_KEY=" + s3test.SecretKey,
		"LOG_SERVICE_GRPC_BIND=off", fmt.Sprint("LOG_SERVICE_REDIS_STREAM_MEMORY=", streamMemory),
	}, env...)
	var addrs []string
	for i := range f.servers {
		own := append([]string{fmt.Sprint("LOG_SERVICE_NODE=node-", i)}, each(f, i)...)
		f.servers[i] = startServer(t, path, slices.Concat(env, own)...) // the last of two with the same name applies
		addrs = append(addrs, f.servers[i].addr)
	}
	f.door = newBalancer(t, addrs)
	return f
}

// balancer passes each connection to the next server that accepts it.
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

// pace limits how far writers may go, so that no log is complete before the last
// fault.
type pace struct {
	mu     sync.Mutex // guards the fields below
	most   int        // limit of lines per log
	raised chan struct{}
}

func newPace(most int) *pace { return &pace{most: most, raised: make(chan struct{})} }

func (p *pace) raise(most int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most = most
	close(p.raised)
	p.raised = make(chan struct{})
}

// wait blocks until the line may be written.
func (p *pace) wait(ctx context.Context, line int) error {
	for {
		p.mu.Lock()
		most, raised := p.most, p.raised
		p.mu.Unlock()
		if line <= most {
			return nil
		}
		select {
		case <-raised:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// course is a log on its way from its writer to its followers.
type course struct {
	key     string
	pace    *pace
	sent    *hashing
	readers [3]*hashing
	gaps    []string
}

// run writes n lines to each of logs through the balancer and follows each log on
// both servers. It calls fault rounds times, at even intervals, while all logs are
// being written. In the end all readers and archives have the same lines.
func (f *fleet) run(n, logs, rounds int, fault func(round int)) {
	t := f.t
	t.Helper()
	limit := hangLimit + time.Duration(rounds)*20*time.Second + time.Duration(n/1000)*time.Second
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("not done within %v", limit))
	defer cancel()
	n /= logs
	var seen atomic.Int64
	progress := make(chan struct{}, 1)
	work, ctx := errgroup.WithContext(ctx)
	courses, pace := make([]*course, logs), newPace(n/(rounds+1))
	for i := range courses {
		courses[i] = &course{key: fmt.Sprintf("%d/faults", i), pace: pace}
		if err := newWire(f.door.url()).open(ctx, courses[i].key); err != nil {
			t.Fatal(err)
		}
		f.begin(ctx, work, courses[i], n, func() {
			seen.Add(1)
			select {
			case progress <- struct{}{}:
			default:
			}
		})
	}
	began := time.Now()
	for round := range rounds {
		for seen.Load() < int64(n/(rounds+1)*(round+1)*logs) {
			select {
			case <-progress:
			case <-ctx.Done():
				t.Fatalf("round %d, after line %d: %v %v", round, seen.Load(), context.Cause(ctx), work.Wait())
			}
		}
		pace.raise(n / (rounds + 1) * (round + 2))
		fault(round)
	}
	pace.raise(n)
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d lines and %d rounds of faults took %v", n*logs, rounds, time.Since(began).Round(100*time.Millisecond))
	for _, c := range courses {
		f.check(c, n)
	}
}

// begin writes, closes and follows a log, and calls seen for each line that the
// first reader sees.
func (f *fleet) begin(ctx context.Context, work *errgroup.Group, c *course, n int, seen func()) {
	for i := range c.readers {
		c.readers[i] = newHashing()
		r := tailer{wire: newWire(f.door.url()), key: c.key, line: func(seq int64, json []byte) error {
			if i == 0 {
				seen()
				if bytes.HasPrefix(json, []byte(`{"gap"`)) {
					c.gaps = append(c.gaps, string(json))
				}
			}
			return c.readers[i].line(seq, json)
		}}
		work.Go(func() error { return r.run(ctx) })
	}
	work.Go(func() (err error) {
		c.sent, err = writePaced(ctx, newWire(f.door.url()), c.key, n, c.pace.wait)
		if err == nil {
			err = newWire(f.door.url()).close(ctx, c.key, "snapshot=true")
		}
		return err
	})
}

// check compares what was sent with what the readers saw and what is archived.
func (f *fleet) check(c *course, n int) {
	t := f.t
	t.Helper()
	for _, g := range c.gaps {
		t.Errorf("%s: a reader got %s", c.key, g)
	}
	for i, r := range c.readers {
		if r.lines != n || r.String() != c.sent.String() {
			t.Errorf("%s: reader %d has %d lines of SHA-256 %v, sent were %d of %v", c.key, i, r.lines, r, c.sent.lines, c.sent)
		}
	}
	archived := newHashing()
	late := tailer{wire: newWire(f.door.url()), key: c.key, line: archived.line}
	if err := late.run(t.Context()); err != nil || archived.lines != n || archived.String() != c.sent.String() {
		t.Errorf("%s: the archive has %d lines of SHA-256 %v, sent were %d of %v (%v)", c.key, archived.lines, archived, c.sent.lines, c.sent, err)
	}
}
