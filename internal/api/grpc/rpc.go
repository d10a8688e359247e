// Package grpcapi is the gRPC API of the service: logservice.v1.LogStream, over
// the same Service and with the same rules and errors as HTTP, and the health
// and reflection services.
package grpcapi

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // clients on slow links compress
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api"
	"github.com/harness/log-service/internal/api/admission"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/service"
	logservicev1 "github.com/harness/log-service/proto/logservice/v1"
)

// Limits of a connection and of what one call may make the server hold.
const (
	// maxStreams bounds the calls of one connection: a program with that many
	// logs opens another one.
	maxStreams = 1000
	// maxMessage bounds a message, decompressed: many times what clients make
	// of a batch. A whole message is in memory before it can be checked, so the
	// limit is lower than that of an HTTP body; if lines may be longer, so may
	// messages.
	maxMessage = 16 << 20
	// besideLines is what a message may have in addition to its lines.
	besideLines = 64 << 10
	// maxHeader bounds the metadata of a call: a token and little more.
	maxHeader = 16 << 10
	// handshakeTime bounds how long a connection may take to begin.
	handshakeTime = 10 * time.Second
	// pingAfter and pingWait detect lost peers within a minute.
	pingAfter, pingWait = 40 * time.Second, 20 * time.Second
	// minPing is how often clients may ping: one that pings more often is
	// disconnected.
	minPing = 10 * time.Second
	// idleTime ends idle connections.
	idleTime = 10 * time.Minute
	// receiveMemory is the budget for what was received, beyond freeBytes of each
	// connection, and no handler has taken yet.
	receiveMemory = 64 << 20
	// windowBytes is how much may be in flight to the server on one call:
	// several batches, so that a push keeps flowing.
	windowBytes = 1 << 20
)

// Config of a Server. Service is required; zero values are the defaults of
// package admission.
type Config struct {
	Service *service.Service
	Logger  *slog.Logger // nil: slog.Default
	// Auth verifies the tokens of calls. Nil: nobody needs one.
	Auth *auth.Verifier

	// MaxLine is the largest size in bytes of a line's JSON; longer lines are
	// cut.
	MaxLine int
	// MaxBody bounds the lines of one batch in bytes, at most 16 MiB or one
	// line, whichever is more.
	MaxBody int64
	// Stop, once closed, ends every tail, watch and push in a way that makes
	// clients continue elsewhere, and makes the health service report it. Nil:
	// never.
	Stop <-chan struct{}
	// Stall is how long a peer may receive nothing of what it requested.
	Stall time.Duration
	// WatchInterval is the shortest interval of a watch, and the default. Zero:
	// DefaultWatchInterval.
	WatchInterval time.Duration
	// TLS secures the listener. Nil: no TLS.
	TLS *tls.Config
	// Registry is where the metrics of the calls are registered. Nil: nowhere.
	Registry prometheus.Registerer
}

// Server answers gRPC calls.
type Server struct {
	logservicev1.UnimplementedLogStreamServer

	service  *service.Service
	log      *slog.Logger
	auth     *auth.Verifier
	needs    map[string]auth.Verbs
	maxLine  int
	stop     <-chan struct{}
	stall    time.Duration
	interval time.Duration // of watches, the shortest
	message  int64         // the largest of a push
	budget   *admission.Budget
	// receiving is the memory for what was received and no handler has taken
	// yet; see receiver.
	receiving *admission.Budget
	public    atomic.Int64 // calls without a token

	messageTime, publicTime time.Duration     // the constants, except in tests
	buffers                 admission.Buffers // of messages being pushed, and of tails
	flight                  atomic.Int64      // bytes of the tails' messages that gRPC holds

	grpc    *grpc.Server
	health  *healthService
	work    sync.WaitGroup // goroutines other than grpc's own
	lists   *lists         // shared by watches
	metrics *metrics
}

// New returns the server of c. It does no I/O.
func New(c Config) *Server {
	s := &Server{
		service:  c.Service,
		log:      cmp.Or(c.Logger, slog.Default()),
		auth:     c.Auth,
		needs:    Needs(),
		maxLine:  cmp.Or(c.MaxLine, logservice.DefaultMaxLineBytes),
		stop:     c.Stop,
		stall:    cmp.Or(c.Stall, admission.DefaultStall),
		interval: cmp.Or(c.WatchInterval, DefaultWatchInterval),
		health:   &healthService{Server: health.NewServer(), check: c.Service.Check},
		metrics:  newMetrics(c.Registry),

		messageTime: messageTime,
		publicTime:  publicTime,
	}
	s.lists = newLists(s)
	message := messageLimit(cmp.Or(c.MaxBody, logservice.DefaultMaxBodyBytes), s.maxLine)
	s.message = int64(message)
	// The share of one account must fit the largest message twice.
	s.budget = admission.NewBudget(max(admission.DefaultPushMemory, 3*s.message))
	s.receiving = admission.NewBudget(max(receiveMemory, 3*s.message))
	s.grpc = grpc.NewServer(append(s.options(message), transport(c.TLS)...)...)
	logservicev1.RegisterLogStreamServer(s.grpc, s)
	grpc_health_v1.RegisterHealthServer(s.grpc, s.health)
	s.SetServing(true)
	reflection.Register(s.grpc)
	return s
}

// messageLimit is the largest message that is read.
func messageLimit(maxBody int64, maxLine int) int {
	return int(min(maxBody, max(maxMessage, int64(maxLine)))) + besideLines
}

func (s *Server) options(message int) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.ForceServerCodecV2(codec{}),
		grpc.RPCDecompressor(keepCompressed{}), //nolint:staticcheck // a registered one would be used by clients, too
		grpc.MaxRecvMsgSize(message),
		grpc.InTapHandle(s.tap),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.MaxHeaderListSize(maxHeader),
		grpc.ConnectionTimeout(handshakeTime),
		grpc.InitialWindowSize(windowBytes),
		grpc.InitialConnWindowSize(4 * windowBytes),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: pingAfter, Timeout: pingWait, MaxConnectionIdle: idleTime}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: minPing, PermitWithoutStream: true}),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.streaming),
	}
}

func transport(c *tls.Config) []grpc.ServerOption {
	if c == nil {
		return nil
	}
	return []grpc.ServerOption{grpc.Creds(credentials.NewTLS(c))}
}

// Serve answers calls that reach l until Shutdown or Stop, or until l fails.
func (s *Server) Serve(l net.Listener) error {
	err := s.grpc.Serve(receivers{l, s})
	if errors.Is(err, grpc.ErrServerStopped) {
		return nil
	}
	return err
}

// Unready makes the health service report that the server will stop. Calls
// continue.
func (s *Server) Unready() { s.health.stop() }

// Shutdown accepts no new calls, and returns when those in flight have ended,
// which Config.Stop requests. Those still running when ctx ends are
// interrupted, and its error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.health.stop()
	ended := make(chan struct{})
	go func() { // ends with the calls, which Stop interrupts
		s.grpc.GracefulStop()
		close(ended)
	}()
	var err error
	select {
	case <-ended:
	case <-ctx.Done():
		err = ctx.Err()
		s.grpc.Stop()
		<-ended
	}
	s.work.Wait()
	return err
}

// Stop interrupts everything at once.
func (s *Server) Stop() {
	s.grpc.Stop()
	s.work.Wait()
}

// stopping is the error of calls that end because the server stops.
func stopping() error { return api.ErrStopping }
