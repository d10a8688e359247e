package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
	"github.com/harness/log-service/internal/store/bolt"
	"github.com/harness/log-service/internal/stream"
)

var id = logservice.ID{Account: "acme", Key: "project/build/stage/step"}

// rig is a service over the real engine and the real store, in a folder that
// survives a restart.
type rig struct {
	*service.Service
	t      testing.TB
	dir    string
	engine *stream.Engine
	bolt   *bolt.Store
	store  *faultyStore
	texts  texts
	stop   func() // Run, engine and store, in this order
}

func start(t testing.TB, dir string, change ...func(*service.Config)) *rig {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	engine, err := stream.Open(stream.Config{Dir: filepath.Join(dir, "streams"), Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	store, err := bolt.Open(filepath.Join(dir, "blobs.db"), bolt.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t: t, dir: dir, engine: engine, bolt: store, store: &faultyStore{Store: store}, texts: texts{}}
	c := service.Config{Streams: engine, Store: r.store, Logger: quiet, LinkKey: []byte(strings.Repeat("k", 32)), MaintenanceInterval: 20 * time.Millisecond}
	for _, f := range change {
		f(&c)
	}
	r.Service = service.New(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Run(ctx)
	}()
	stopped := false
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		<-done
		if err := engine.Stop(); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(r.stop)
	return r
}

// newRig starts a service in a folder of its own and checks at the end that
// it leaves no goroutine.
func newRig(t *testing.T, change ...func(*service.Config)) *rig {
	ignore := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, ignore) })
	return start(t, t.TempDir(), change...)
}

// faultyStore lets tests make the store fail or wait.
type faultyStore struct {
	logs.Store
	misses atomic.Int64
	fault  atomic.Pointer[func(ctx context.Context, id logservice.ID) error] // of Put, before it does anything
}

func (s *faultyStore) Put(ctx context.Context, id logservice.ID, r io.Reader, info logs.BlobInfo) error {
	if f := s.fault.Load(); f != nil {
		if err := (*f)(ctx, id); err != nil {
			return err
		}
	}
	return s.Store.Put(ctx, id, r, info)
}

// Get misses a blob as often as misses says: it was stored just after.
func (s *faultyStore) Get(ctx context.Context, id logservice.ID) (logs.Blob, error) {
	if s.misses.Add(-1) >= 0 {
		return nil, logservice.ErrBlobNotFound
	}
	return s.Store.Get(ctx, id)
}

func (s *faultyStore) failWith(f func(context.Context, logservice.ID) error) { s.fault.Store(&f) }
func (s *faultyStore) works()                                                { s.fault.Store(nil) }

func jsonLines(first, count int) (data []byte) {
	for i := range count {
		data = fmt.Appendf(data, `{"level":"info","pos":%d,"out":"line %d of the log\n","time":"2026-01-02T15:04:05Z","args":null}`+"\n", first+i, first+i)
	}
	return data
}

func (r *rig) must(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// write opens the stream of id and appends count lines.
func (r *rig) write(id logservice.ID, count int) []byte {
	r.t.Helper()
	r.must(r.Open(r.t.Context(), id, logs.OpenOptions{}))
	return r.append(id, 0, count)
}

func (r *rig) append(id logservice.ID, first, count int) []byte {
	r.t.Helper()
	data := jsonLines(first, count)
	if count > 0 {
		_, err := r.Append(r.t.Context(), id, logs.Lines{Data: bytes.Clone(data), Count: int64(count)})
		r.must(err)
	}
	return data
}

func (r *rig) content(id logservice.ID) ([]byte, *service.Content) {
	r.t.Helper()
	c, err := r.Blob(r.t.Context(), id, 0)
	r.must(err)
	defer c.Close()
	rc, err := c.Range(r.t.Context(), 0, -1)
	r.must(err)
	defer rc.Close()
	data, err := io.ReadAll(rc)
	r.must(err)
	if c.Size >= 0 && c.Size != int64(len(data)) {
		r.t.Errorf("size %d, read %d bytes", c.Size, len(data))
	}
	return data, c
}

// wantAttempt checks the content of one attempt.
func (r *rig) wantAttempt(id logservice.ID, attempt int64, want []byte) {
	r.t.Helper()
	c, err := r.Blob(r.t.Context(), id, attempt)
	r.must(err)
	defer c.Close()
	rc, err := c.Range(r.t.Context(), 0, -1)
	r.must(err)
	defer rc.Close()
	got, err := io.ReadAll(rc)
	r.must(err)
	if !bytes.Equal(got, want) || c.Attempt != attempt {
		r.t.Errorf("attempt %d of %v is attempt %d of %d bytes %.80q, want %d bytes %.80q", attempt, id, c.Attempt, len(got), got, len(want), want)
	}
}

func (r *rig) wantContent(id logservice.ID, want []byte) *service.Content {
	r.t.Helper()
	got, c := r.content(id)
	if !bytes.Equal(got, want) {
		r.t.Errorf("%v: got %d bytes %.80q, want %d bytes %.80q", id, len(got), got, len(want), want)
	}
	return c
}

func (r *rig) wantNoStream(id logservice.ID) {
	r.t.Helper()
	infos, err := r.List(r.t.Context(), logs.Filter{Account: id.Account, Prefix: id.Key})
	r.must(err)
	if len(infos) != 0 {
		r.t.Errorf("streams are left: %+v", infos)
	}
}

// drain reads a cursor to its end and returns the sequences' first and next.
func drain(t testing.TB, c logs.Cursor, first int64) (data []byte, next int64) {
	t.Helper()
	next = first
	for {
		batches, err := c.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return data, next
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(batches) == 0 {
			<-c.Ready()
		}
		for _, b := range batches {
			if b.First != next {
				t.Fatalf("a batch begins with %d, not %d", b.First, next)
			}
			next = b.Next()
			data = append(data, b.Data...)
		}
	}
}

// eventually waits until ok, for things that happen in the background.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	eventuallyWithin(t, time.Minute, what, ok)
}

func eventuallyWithin(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	late := time.After(limit)
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("never: ", what)
		}
	}
}

// lateStreams answers as an engine would have a moment ago.
type lateStreams struct {
	logs.Streams
	misses  atomic.Int64                // Follow finds nothing, so often
	deleted atomic.Pointer[func()]      // called once, after the next Delete
	stale   atomic.Pointer[[]logs.Info] // what Due answers once
}

func (s *lateStreams) Follow(ctx context.Context, id logservice.ID, after int64) (logs.Cursor, error) {
	if s.misses.Add(-1) >= 0 {
		return nil, logservice.ErrStreamNotFound
	}
	return s.Streams.Follow(ctx, id, after)
}

func (s *lateStreams) Claim(ctx context.Context, id logservice.ID) (logs.Claim, error) {
	c, err := s.Streams.Claim(ctx, id)
	if err != nil {
		return nil, err
	}
	return &lateClaim{c, s}, nil
}

type lateClaim struct {
	logs.Claim
	s *lateStreams
}

func (c *lateClaim) Delete(ctx context.Context) error {
	err := c.Claim.Delete(ctx)
	if f := c.s.deleted.Swap(nil); f != nil {
		(*f)()
	}
	return err
}

func (s *lateStreams) Due(ctx context.Context) ([]logs.Info, error) {
	if stale := s.stale.Swap(nil); stale != nil {
		return *stale, nil
	}
	return s.Streams.Due(ctx)
}

func lateRig(t *testing.T) (*rig, *lateStreams) {
	var late *lateStreams
	return newRig(t, func(c *service.Config) {
		late = &lateStreams{Streams: c.Streams}
		c.Streams = late
	}), late
}

// past is the position after a line of the newest attempt.
func past(n int64) service.From {
	return service.From{Position: logservice.Position{Sequence: n}}
}
