package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/harness/log-service/internal/api/admission"
	httpapi "github.com/harness/log-service/internal/api/http"
	"github.com/harness/log-service/internal/api/http/endpoint"
	"github.com/harness/log-service/internal/api/http/public"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/service"
)

// Limits of a connection. Whole requests and responses have no time limit: a tail
// lasts as long as its log, and an upload as long as its network needs. The handlers
// limit how long they wait.
const (
	// readHeaderTimeout closes connections that send nothing, or one byte at a
	// time.
	readHeaderTimeout = 10 * time.Second
	// idleTimeout is longer than the 90 s for which Go clients keep a connection,
	// so that the client closes it: a server that closes first may do so just as
	// a request arrives.
	idleTimeout = 2 * time.Minute
	// maxHeaderBytes fits a request line with some twenty keys of maximum length,
	// every byte escaped; other headers are small.
	maxHeaderBytes = 64 << 10
)

// Server is a log service that is listening and holds its data directory. Create
// one with New, and end it with Serve or Close.
type Server struct {
	log      *slog.Logger
	data     *folder
	engine   engine
	store    store
	service  *service.Service
	auth     *auth.Verifier
	listener net.Listener
	http     *http.Server
	grpc     *grpcService // nil if off
	tails    endpoint.Tails
	admin    *admin      // nil if off
	tls      *tls.Config // of all listeners but the admin's; nil for plain text
	registry *prometheus.Registry
	conns    *connections // of all listeners

	stopDelay time.Duration // between unready and stopping
	unready   chan struct{} // closed when a graceful shutdown starts
	stopping  chan struct{} // closed when connections start to be ended
	stop      stop
	closed    sync.Once // guards closeErr
	closeErr  error
}

// New opens everything that c configures and starts to listen; connections wait
// until Serve is called. The error says which part failed: it is an *InUseError
// if another server holds the data directory, and a *net.OpError if an address is
// not available. On error, nothing remains open.
func New(c config.Config, logger *slog.Logger) (*Server, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if !c.AuthOn() && slices.Contains(c.Public.Origins, public.AnyOrigin) {
		logger.Warn("any web page that somebody opens may read and delete all logs: LOG_SERVICE_CORS_ORIGINS is *, and authentication is off")
	}
	s := &Server{log: logger, stopDelay: c.StopDelay, registry: newRegistry(), unready: make(chan struct{}), stopping: make(chan struct{})}
	if err := s.open(c); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// open opens the parts in order of dependency. The directory comes first, so that
// the error for a second server with the same settings is about the directory and
// not about a port. The port comes before the streams, whose replay may take a
// while.
func (s *Server) open(c config.Config) (err error) {
	if s.data, err = openFolder(c.Data); err != nil {
		return err
	}
	if s.auth, err = NewVerifier(c, s.log); err != nil {
		return fmt.Errorf("authentication: %w", err)
	}
	if s.tls, err = newTLS(c, s.log); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	s.conns = newConnections(c.MaxConnections, descriptors(), s.log)
	if s.listener, err = (&net.ListenConfig{}).Listen(context.Background(), "tcp", c.Bind); err != nil {
		return err
	}
	answer := ""
	if s.tls == nil {
		answer = tooMany
	}
	s.listener = s.conns.on(s.listener, answer)
	if s.admin, err = s.openAdmin(c.AdminBind); err != nil {
		return err
	}
	if s.grpc, err = s.openGRPC(c.GRPCBind); err != nil {
		return err
	}
	if s.store, err = openStore(c, s.data.notBefore(time.Now), s.log); err != nil {
		return err
	}
	if s.engine, err = s.openStreams(c); err != nil {
		return err
	}
	linkKey, err := s.linkKey(c)
	if err != nil {
		return err
	}
	s.service = service.New(service.Config{
		Streams: s.engine, Store: s.store, Logger: s.log, LinkKey: linkKey, Limits: limits(c),
		Retention: c.Retention, Clock: s.data, Plain: c.ArchiveCompression != config.CompressZstd,
	})
	s.measure(s.engine, s.store, s.service, s.conns)
	s.grpc.answer(s.grpcConfig(c))
	s.http = s.newHTTP(httpapi.New(s.handlerConfig(c)))
	return nil
}

func (s *Server) newHTTP(h http.Handler) *http.Server {
	return &http.Server{
		TLSConfig:         s.tls.Clone(), // net/http modifies it; nil stays nil
		Handler:           h,
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		// net/http logs broken connections here, which matter only when
		// debugging.
		ErrorLog: slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
}

// Addr returns the address that the server listens on, with the actual port.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// URL returns the server's URL for clients on this machine.
func (s *Server) URL() string {
	scheme := "http"
	if s.tls != nil {
		scheme = "https"
	}
	return scheme + "://" + localAddress(s.listener)
}

func localAddress(l net.Listener) string {
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok || addr.IP.IsUnspecified() {
		_, port, _ := net.SplitHostPort(l.Addr().String())
		return "localhost:" + port
	}
	return addr.String()
}

// AdminAddr returns the address of the listener for metrics and profiles, or nil if
// there is none.
func (s *Server) AdminAddr() net.Addr {
	if s.admin == nil {
		return nil
	}
	return s.admin.listener.Addr()
}

// Folder returns the absolute path of the data directory.
func (s *Server) Folder() string { return s.data.path }

func (s *Server) closeListeners() error {
	var errs []error
	if s.http != nil {
		errs = append(errs, s.http.Close())
	}
	if s.listener != nil {
		if err := s.listener.Close(); !errors.Is(err, net.ErrClosed) {
			errs = append(errs, err)
		}
	}
	errs = append(errs, wrap("admin listener", s.admin.close()))
	return errors.Join(append(errs, wrap("gRPC listener", s.grpc.close()))...)
}

// handlerConfig converts c to the configuration of the HTTP API.
func (s *Server) handlerConfig(c config.Config) httpapi.Config {
	h := httpapi.Config{
		Service:     s.service,
		Logger:      s.log,
		Auth:        s.auth,
		QueryTokens: c.Auth.QueryTokens,
		Public:      c.Public,
		Loopback:    c.LoopbackOnly(),
		MaxLine:     int(c.MaxLine),
		MaxBody:     c.MaxBody,

		MaxUpload: c.MaxUpload,
		// Capacity for four of the largest bodies at once, or for many typical ones.
		BodyMemory: max(admission.DefaultBodyMemory, 4*c.MaxBody),
		Unready:    s.unready,
		Stop:       s.stopping,
		Tails:      &s.tails,
		Registry:   s.registry,
		Exposition: s.exposition(),
	}
	if c.Host != "" {
		h.Public.Origin = c.Proto + "://" + c.Host
	}
	return h
}

func limits(c config.Config) service.Limits {
	return service.Limits{
		Streams: c.AccountStreams, Tails: c.AccountTails, Stored: c.AccountStored,
		Rate: c.AccountRate, Burst: c.MaxBody, // the largest append passes after a pause
	}
}

func wrap(what string, err error) error {
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}
