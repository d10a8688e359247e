package stream_test

import (
	"log/slog"
	"testing"

	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream"
	"github.com/harness/log-service/internal/stream/streamtest"
)

func TestMemoryEngineConforms(t *testing.T) {
	streamtest.Run(t, streamtest.Backend{
		Open: func(t *testing.T) logs.Streams { return open(t, stream.Config{}).engine },
	})
}

func TestDurableEngineConforms(t *testing.T) {
	streamtest.Run(t, durable(0))
}

// With a budget this small nearly every read comes from disk.
func TestDurableEngineConformsWithHardlyAnyMemory(t *testing.T) {
	b := durable(64 << 10)
	b.Variant = true
	streamtest.Run(t, b)
}

// durable is a durable engine with a memory budget in bytes; zero means the
// default. Reopening stops it and opens its folder again.
func durable(memory int64) streamtest.Backend {
	opened := map[logs.Streams]*running{} // one test at a time
	return streamtest.Backend{
		Open: func(t *testing.T) logs.Streams {
			r := open(t, stream.Config{Dir: t.TempDir(), Memory: memory})
			opened[r.engine] = r
			return r.engine
		},
		Reopen: func(t *testing.T, s logs.Streams) logs.Streams {
			r := opened[s]
			delete(opened, s)
			r.stop(t)
			r.start(t)
			opened[r.engine] = r
			return r.engine
		},
	}
}

// running is an engine that can be stopped and started over its folder.
type running struct {
	config stream.Config
	engine *stream.Engine
}

func open(t *testing.T, c stream.Config) *running {
	t.Helper()
	c.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	r := &running{config: c}
	r.start(t)
	t.Cleanup(func() { r.stop(t) })
	return r
}

func (r *running) start(t *testing.T) {
	t.Helper()
	var err error
	if r.engine, err = stream.Open(r.config); err != nil {
		t.Fatalf("open the engine: %v", err)
	}
}

func (r *running) stop(t *testing.T) {
	t.Helper()
	if r.engine == nil {
		return
	}
	if err := r.engine.Stop(); err != nil {
		t.Errorf("stop the engine: %v", err)
	}
	r.engine = nil
}
