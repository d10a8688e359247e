// Package apitest is what the tests of the APIs over HTTP and gRPC share.
package apitest

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"github.com/harness/log-service/internal/service"
	"github.com/harness/log-service/internal/store/bolt"
	"github.com/harness/log-service/internal/stream"
)

// Run runs a service over an engine and a bolt store until the test ends. Both,
// and the loggers, are set. What is cleaned up by then must use it no longer.
func Run(t testing.TB, engine stream.Config, rules service.Config) *service.Service {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	engine.Logger, rules.Logger = quiet, quiet
	streams, err := stream.Open(engine)
	if err != nil {
		t.Fatal(err)
	}
	store, err := bolt.Open(filepath.Join(t.TempDir(), "blobs.db"), bolt.Options{Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	rules.Streams, rules.Store = streams, store
	s := service.New(rules)
	ctx, end := context.WithCancel(context.Background())
	ran := make(chan error, 1)
	go func() { ran <- s.Run(ctx) }()
	t.Cleanup(func() {
		end()
		if err := <-ran; err != nil {
			t.Error(err)
		}
		if err := streams.Stop(); err != nil {
			t.Error(err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// Buffer is a bytes.Buffer for several goroutines, such as those that log.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String returns what was written.
func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
