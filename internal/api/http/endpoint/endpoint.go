// Package endpoint holds what the HTTP endpoints of all dialects do once they
// know which log is meant: open, push, tail, close, upload, download, links.
//
// A dialect (harness, ci) is a folder beside this one. Its functions find the
// log that a request is about, in its own way; the methods of API do what was
// asked and answer the request. Both return errors for Handler to answer: the
// one table of package logservice turns them into a status.
package endpoint

import (
	"cmp"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api/admission"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/service"
)

// DefaultPing is the longest silence of a tail: proxies and clients take a
// connection for dead after 30 s and more.
const DefaultPing = 15 * time.Second

// Config of an API. Service is required; zero values are the defaults.
type Config struct {
	Service *service.Service
	Logger  *slog.Logger // nil: slog.Default
	// Auth verifies tokens. Nil: everybody may do everything.
	Auth *auth.Verifier
	// QueryTokens accepts tokens in the query of requests that read.
	QueryTokens bool

	// BaseURL is how clients reach the server, scheme://host[:port] without a
	// slash at the end, for the links that it hands out. Empty: as the request
	// for the link reached it (Host, X-Forwarded-Proto).
	BaseURL string
	// MaxLine is the size in bytes of a line's JSON past which it is cut; zero
	// is logservice.DefaultMaxLineBytes.
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
	// Unready, once closed, turns readiness off: Stop will follow. Nil: Stop
	// does it alone.
	Unready <-chan struct{}
	// Stop, once closed, ends every tail in order: without an end mark, so
	// that clients reconnect. Nil: never.
	Stop <-chan struct{}
	// Tails takes the tails, which go on when their handlers have returned:
	// wait for it after http.Server.Shutdown. Nil: nobody waits.
	Tails *Tails
	// Ping is the longest silence of a tail; zero is DefaultPing.
	Ping time.Duration
	// Stall is how long a peer may make no progress; zero is admission.DefaultStall.
	Stall time.Duration
	// Registry takes the metrics of the requests. Nil: nobody asks for them.
	Registry prometheus.Registerer
	// Exposition answers GET /metrics. Nil: 501.
	Exposition http.Handler
}

// API answers requests over one Service. Its methods may be called from any
// number of goroutines.
type API struct {
	service     *service.Service
	log         *slog.Logger
	auth        *auth.Verifier
	queryTokens bool
	bodies      *bodies
	base        string
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
		base:        c.BaseURL,
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
