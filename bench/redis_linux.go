package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/sync/errgroup"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/bench/load"
	"github.com/harness/log-service/bench/report"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/bolt"
	"github.com/harness/log-service/internal/stream/redis"
)

// The measures below compare the engine over Redis, in this process, with bare
// commands that carry the same bytes to a Redis of the same settings: no
// append-only file, so that Redis itself is the limit.

const (
	redisWriters = 64
	redisTime    = 3 * time.Second
	redisHeld    = 1 << 30 // bytes of a stream that stay in Redis: all of it
)

// redisServer is a redis-server for one measure.
type redisServer struct {
	addr string
	pid  int
	stop func()
}

func startRedis(ctx context.Context, dir string) (*redisServer, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "redis-server", "--bind", "127.0.0.1", "--port", fmt.Sprint(addr.Port()), "--dir", dir, "--save", "", "--appendonly", "no")
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("redis-server (Debian: apt-get install redis-server): %w", err)
	}
	s := &redisServer{addr: addr.String(), pid: cmd.Process.Pid, stop: func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed: its status says nothing
	}}
	for end := time.Now().Add(10 * time.Second); ; {
		c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.addr}, DisableCache: true})
		if err == nil {
			c.Close()
			return s, nil
		}
		if time.Now().After(end) {
			s.stop()
			return nil, err
		}
		if err := pause(ctx, 20*time.Millisecond); err != nil {
			s.stop()
			return nil, err
		}
	}
}

// redisNode is an engine over s, with a store of its own.
func redisNode(ctx context.Context, s *redisServer, dir string, held int64) (*redis.Engine, func() error, error) {
	store, err := bolt.Open(filepath.Join(dir, "blobs.db"), bolt.Options{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, err
	}
	e, err := redis.Open(ctx, redis.Config{Addresses: []string{s.addr}, StreamMemory: held, Dir: dir, Store: store, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return e, func() error { return errors.Join(e.Stop(), store.Close()) }, nil
}

// redisNodes are several of them, each in a folder of its own.
func redisNodes(ctx context.Context, s *redisServer, dir string, n int, held int64) (all []*redis.Engine, stop func() error, err error) {
	var stops []func() error
	stop = func() (err error) {
		for _, f := range stops {
			err = errors.Join(err, f())
		}
		return err
	}
	for i := range n {
		own := filepath.Join(dir, fmt.Sprint(i))
		if err := os.MkdirAll(own, 0o700); err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		node, f, err := redisNode(ctx, s, own, held)
		if err != nil {
			return nil, nil, errors.Join(err, stop())
		}
		all, stops = append(all, node), append(stops, f)
	}
	return all, stop, nil
}

// ndjson are lines of a build log as one batch.
func ndjson(lines int) []byte {
	var data []byte
	l := load.NewBuildLog(load.TextSeed)
	for range lines {
		data, _, _ = l.Line(data, false)
		data = append(data, '\n')
	}
	return data
}

func redisID(writer int) logservice.ID {
	return logservice.ID{Account: load.Account, Key: logservice.Key(fmt.Sprint("redis/", writer))}
}

// write calls put as often as redisTime allows, from all writers at once, and
// counts what it took of Redis.
func (s *redisServer) write(lines int, put func(writer int) error) (report.Metrics, error) {
	var batches atomic.Int64
	var g errgroup.Group
	before, err := cpu(s.pid)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	for w := range redisWriters {
		g.Go(func() error {
			for time.Since(begin) < redisTime {
				if err := put(w); err != nil {
					return err
				}
				batches.Add(1)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	took := time.Since(begin)
	after, err := cpu(s.pid)
	n := float64(batches.Load()) * float64(lines)
	return report.Metrics{
		"lines_per_s":             n / took.Seconds(),
		"redis_cpu_s_per_m_lines": (after - before).Seconds() / n * 1e6,
	}, err
}

// redisAppend appends through so many nodes, by all of them in turn.
func redisAppend(lines, nodes int, held int64) measure {
	return func(ctx context.Context, e *env) (report.Metrics, error) {
		s, err := startRedis(ctx, e.dir)
		if err != nil {
			return nil, err
		}
		defer s.stop()
		all, stop, err := redisNodes(ctx, s, e.dir, nodes, held)
		if err != nil {
			return nil, err
		}
		for w := range redisWriters {
			if err := all[0].Open(ctx, redisID(w), logs.OpenOptions{}); err != nil {
				return nil, errors.Join(err, stop())
			}
		}
		var data [redisWriters][]byte // each batch differs, because retries are recognized
		var sent [redisWriters]int64
		for w := range data {
			data[w] = ndjson(lines)
		}
		posAt := bytes.Index(data[0], []byte(fmt.Sprint(load.PosBase)))
		m, err := s.write(lines, func(w int) error {
			sent[w]++
			load.Digits(data[w][posAt:], load.PosBase+sent[w], 9)
			for {
				_, err := all[int(sent[w])%nodes].Append(ctx, redisID(w), logs.Lines{Data: data[w], Count: int64(lines), Dedupe: true})
				if !errors.Is(err, logservice.ErrUnavailable) {
					return err
				}
				if err := pause(ctx, 10*time.Millisecond); err != nil {
					return err
				}
			}
		})
		return m, errors.Join(err, stop())
	}
}

// bareXADD adds the same bytes with one XADD per batch, pipelined.
func bareXADD(lines int) measure {
	return func(ctx context.Context, e *env) (report.Metrics, error) {
		s, c, err := bareRedis(ctx, e.dir)
		if err != nil {
			return nil, err
		}
		defer s.stop()
		defer c.Close()
		data := rueidis.BinaryString(ndjson(lines))
		return s.write(lines, func(w int) error {
			return c.Do(ctx, c.B().Xadd().Key(fmt.Sprint("raw/", w)).Id("*").FieldValue().FieldValue("d", data).Build()).Error()
		})
	}
}

func bareRedis(ctx context.Context, dir string) (*redisServer, rueidis.Client, error) {
	s, err := startRedis(ctx, dir)
	if err != nil {
		return nil, nil, err
	}
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.addr}, DisableCache: true, PipelineMultiplex: 1})
	if err != nil {
		s.stop()
	}
	return s, c, err
}

// redisReplay reads e.n lines, in batches of 100, by a cursor that starts late.
func redisReplay(ctx context.Context, e *env) (report.Metrics, error) {
	s, err := startRedis(ctx, e.dir)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	node, stop, err := redisNode(ctx, s, e.dir, redisHeld)
	if err != nil {
		return nil, err
	}
	m, err := func() (report.Metrics, error) {
		if err := node.Open(ctx, redisID(0), logs.OpenOptions{}); err != nil {
			return nil, err
		}
		data := ndjson(100)
		for range e.n / 100 {
			if _, err := node.Append(ctx, redisID(0), logs.Lines{Data: data, Count: 100}); err != nil {
				return nil, err
			}
		}
		begin := time.Now()
		c, err := node.Follow(ctx, redisID(0), 0)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		err = drainTo(ctx, c, int64(e.n))
		return report.Metrics{"lines_per_s": float64(e.n) / time.Since(begin).Seconds()}, err
	}()
	return m, errors.Join(err, stop())
}

// drainTo reads until the line last.
func drainTo(ctx context.Context, c logs.Cursor, last int64) error {
	for {
		batches, err := c.Next(ctx)
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if len(batches) > 0 && batches[len(batches)-1].Last() >= last {
			return nil
		}
		if len(batches) > 0 {
			continue
		}
		select {
		case <-c.Ready():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// bareXREAD reads the same bytes with XREAD, as many entries at a time as a
// cursor takes.
func bareXREAD(ctx context.Context, e *env) (report.Metrics, error) {
	s, c, err := bareRedis(ctx, e.dir)
	if err != nil {
		return nil, err
	}
	defer s.stop()
	defer c.Close()
	data := rueidis.BinaryString(ndjson(100))
	for range e.n / 100 {
		if err := c.Do(ctx, c.B().Xadd().Key("raw").Id("*").FieldValue().FieldValue("d", data).Build()).Error(); err != nil {
			return nil, err
		}
	}
	begin, last, got := time.Now(), "0", 0
	for got < e.n/100 {
		all, err := c.Do(ctx, c.B().Xread().Count(16).Streams().Key("raw").Id(last).Build()).AsXRead()
		if err != nil {
			return nil, err
		}
		entries := all["raw"]
		got, last = got+len(entries), entries[len(entries)-1].ID
	}
	return report.Metrics{"lines_per_s": float64(e.n) / time.Since(begin).Seconds()}, nil
}
