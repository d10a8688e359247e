// Package endpoint is what the HTTP endpoints of all dialects do once the log
// is known: open, push, tail, close, upload, download, links.
//
// A dialect (harness, ci) is a directory beside this one. Its functions find
// the log of a request; the methods of API act on it and answer. Both return
// errors for Handler to answer: the table of package logservice maps them to a
// status.
package endpoint

import (
	"cmp"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api/admission"
	"github.com/harness/log-service/internal/api/http/public"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/service"
)

// DefaultPing is the longest silence of a tail: proxies and clients close
// silent connections after 30 s or more.
const DefaultPing = 15 * time.Second

// Config of an API. Service is required; zero values are the defaults.
type Config struct {
	Service *service.Service
	Logger  *slog.Logger // nil: slog.Default
	// Auth verifies tokens. Nil: everything is permitted to everybody.
	Auth *auth.Verifier
	// QueryTokens accepts tokens in the query of requests that read.
	QueryTokens bool

	// Public is how clients reach the server, for the links that it creates.
	Public public.Config
	// Loopback is set if the server listens on a loopback address.
	Loopback bool
	// MaxLine is the largest size in bytes of a line's JSON; longer lines are
	// cut. Zero is logservice.DefaultMaxLineBytes.
	MaxLine int
	// MaxBody bounds the body of one append in bytes, decompressed; zero is
	// logservice.DefaultMaxBodyBytes.
	MaxBody int64
	// MaxUpload bounds the body of an upload in bytes, decompressed; zero is
	// admission.DefaultMaxUpload.
	MaxUpload int64
	// BodyMemory is the budget in bytes for the bodies of all appends in
	// flight; at least three times MaxBody.
	BodyMemory int64
	// Unready, once closed, ends readiness: Stop will follow. Nil: Stop ends
	// it.
	Unready <-chan struct{}
	// Stop, once closed, ends every tail without an end mark, so that clients
	// reconnect. Nil: never.
	Stop <-chan struct{}
	// Tails tracks the tails, which outlive their handlers: wait for it after
	// http.Server.Shutdown. Nil: nobody waits.
	Tails *Tails
	// Ping is the longest silence of a tail; zero is DefaultPing.
	Ping time.Duration
	// Stall is how long a peer may make no progress; zero is admission.DefaultStall.
	Stall time.Duration
	// Registry is where the metrics of the requests are registered. Nil:
	// nowhere.
	Registry prometheus.Registerer
	// Exposition answers GET /metrics. Nil: 501.
	Exposition http.Handler
}

// API answers requests over one Service. Its methods are safe for concurrent
// use.
type API struct {
	service     *service.Service
	log         *slog.Logger
	auth        *auth.Verifier
	queryTokens bool
	bodies      *bodies
	public      public.Config
	loopback    bool
	host        atomic.Pointer[string] // see serves
	maxLine     int
	upload      int64 // the largest
	unready     <-chan struct{}
	stop        <-chan struct{}
	tails       *Tails
	ping        time.Duration
	stall       time.Duration
	metrics     *metrics

	exposition http.Handler
}

// New returns the API of c.
func New(c Config) *API {
	c.Logger = cmp.Or(c.Logger, slog.Default())
	c.MaxLine = cmp.Or(c.MaxLine, logservice.DefaultMaxLineBytes)
	c.MaxBody = cmp.Or(c.MaxBody, logservice.DefaultMaxBodyBytes)
	c.BodyMemory = cmp.Or(c.BodyMemory, admission.DefaultBodyMemory)
	c.MaxUpload = cmp.Or(c.MaxUpload, admission.DefaultMaxUpload)
	c.Ping = cmp.Or(c.Ping, DefaultPing)
	c.Stall = cmp.Or(c.Stall, admission.DefaultStall)
	if c.Tails == nil {
		c.Tails = new(Tails)
	}
	a := &API{
		service:     c.Service,
		log:         c.Logger,
		auth:        c.Auth,
		queryTokens: c.QueryTokens,
		bodies:      newBodies(c.MaxBody, c.BodyMemory, c.Stall),
		public:      c.Public,
		loopback:    c.Loopback,
		maxLine:     c.MaxLine,
		upload:      c.MaxUpload,
		unready:     c.Unready,
		stop:        c.Stop,
		tails:       c.Tails,
		ping:        c.Ping,
		stall:       c.Stall,

		exposition: c.Exposition,
	}
	a.metrics = newMetrics(a.bodies)
	a.metrics.register(c.Registry)
	return a
}
