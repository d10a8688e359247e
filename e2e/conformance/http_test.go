package conformance_test

import (
	"context"
	"log/slog"
	"testing"

	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/server"
	"github.com/harness/log-service/internal/stream/streamtest"
)

func TestTheServerConformsOverTheDurableEngine(t *testing.T) {
	t.Parallel()
	streamtest.Run(t, overServer(config.StreamDisk, (*inProcess).overHTTP))
}

func TestTheServerConformsOverTheMemoryEngine(t *testing.T) {
	t.Parallel()
	b := overServer(config.StreamMemory, (*inProcess).overHTTP)
	b.Reopen = nil
	streamtest.Run(t, b)
}

// overHTTP returns the running server p as an engine.
func (p *inProcess) overHTTP(*testing.T) *remote { return newRemote(p.url) }

// overServer is whole servers, reached in one way.
func overServer(engine string, via func(*inProcess, *testing.T) *remote) streamtest.Backend {
	serving := map[logs.Streams]*inProcess{} // one test at a time
	begin := func(t *testing.T, p *inProcess) logs.Streams {
		p.start(t)
		r := via(p, t)
		p.client = r
		serving[r] = p
		return r
	}
	return streamtest.Backend{
		Remote: true,
		Open: func(t *testing.T) logs.Streams {
			c := config.Default()
			c.Bind, c.GRPCBind = "127.0.0.1:0", "127.0.0.1:0"
			c.Data = t.TempDir()
			c.BoltPath = c.Data + "/blobs.db"
			c.Stream = engine
			p := &inProcess{config: c}
			t.Cleanup(func() {
				clear(serving)
				p.stop(t)
			})
			return begin(t, p)
		},
		Reopen: func(t *testing.T, s logs.Streams) logs.Streams {
			p := serving[s]
			delete(serving, s)
			p.stop(t)
			return begin(t, p)
		},
	}
}

// inProcess is a server in the process of the tests.
type inProcess struct {
	config config.Config
	url    string
	grpc   string // its address for gRPC
	client *remote
	cancel context.CancelFunc
	ended  chan error
}

func (p *inProcess) start(t *testing.T) {
	t.Helper()
	s, err := server.New(p.config, slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		t.Fatal(err)
	}
	p.url, p.grpc = s.URL(), s.GRPCURL()
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.ended = cancel, make(chan error, 1)
	go func() { p.ended <- s.Serve(ctx) }()
}

func (p *inProcess) stop(t *testing.T) {
	t.Helper()
	if p.cancel == nil {
		return
	}
	p.client.done() // the stop waits 5 s for connections that were never used
	p.cancel()
	p.cancel = nil
	if err := <-p.ended; err != nil {
		t.Errorf("the server ended with %v", err)
	}
}
