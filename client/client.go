package client

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client/internal/transport"
)

// HeaderToken is the header that carries the token of a request.
const HeaderToken = "X-Harness-Token"

// idleConnections is the number of idle connections kept: a program with that
// many writers does not dial for each batch.
const idleConnections = 64

// Client calls one server on behalf of one account. Its methods are safe for
// concurrent use. Create one with New.
type Client struct {
	base    *url.URL
	account string
	http    *http.Client
	live    transport.Transport // carries the calls about live logs
	dial    transport.Dial      // for grpc and grpcs addresses; may be nil
	tls     *tls.Config         // from WithTLS
	log     *slog.Logger
	retry   Retry
	// local reports that the server runs on this machine, where compression
	// costs more than it saves.
	local bool

	tokens    func(context.Context) (string, error) // nil: none
	renewable bool                                  // tokens may return another one later
}

// Option configures New.
type Option func(*Client) error

// New returns a client for the server at endpoint. The endpoint is an http or
// https URL, which may have a path, or, with the option rpc.Transport of package
// client/rpc, a grpc or grpcs URL. An empty endpoint means
// logservice.DefaultServer. New does not contact the server.
//
// Over gRPC, only live logs are available: calls on finished logs fail with
// logservice.ErrUnsupported.
func New(endpoint string, opts ...Option) (*Client, error) {
	if endpoint == "" {
		endpoint = logservice.DefaultServer
	}
	base, err := parseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	c := &Client{
		base:    base,
		account: logservice.DefaultAccount,
		http:    &http.Client{Transport: httpTransport()},
		log:     slog.New(slog.DiscardHandler),
		retry:   DefaultRetry(),
		local:   isLoopback(base.Hostname()),
	}
	for _, o := range opts {
		if err := o(c); err != nil {
			return nil, err
		}
	}
	c.http.CheckRedirect = c.checkRedirect(c.http.CheckRedirect)
	c.live = overHTTP{c}
	if c.isGRPC() {
		err = c.useGRPC()
	}
	return c, err
}

func parseEndpoint(endpoint string) (*url.URL, error) {
	base, err := url.Parse(endpoint)
	if i := strings.LastIndexByte(endpoint, '@'); i >= 0 { // a user and a password
		endpoint = "[hidden]" + endpoint[i:]
	}
	if err != nil || base.Host == "" {
		return nil, logservice.Invalidf("server address %q is not a URL: write it like %s", endpoint, logservice.DefaultServer)
	}
	grpc := base.Scheme == schemeGRPC || base.Scheme == schemeGRPCS
	switch {
	case base.Scheme != "http" && base.Scheme != "https" && !grpc:
		return nil, logservice.Invalidf("server address %q is not a URL of http, https, grpc or grpcs: write it like %s", endpoint, logservice.DefaultServer)
	case base.User != nil || base.RawQuery != "" || base.Fragment != "":
		return nil, logservice.Invalidf("server address of host %q may have a path, but no user, query or fragment", base.Host)
	case grpc && strings.Trim(base.Path, "/") != "":
		return nil, logservice.Invalidf("server address %q has a path, which gRPC has not", endpoint)
	}
	return base, nil
}

const (
	schemeGRPC  = "grpc"
	schemeGRPCS = "grpcs" // with TLS
	// portGRPC is the server's default port for gRPC.
	portGRPC = "8078"
)

func (c *Client) isGRPC() bool { return c.base.Scheme == schemeGRPC || c.base.Scheme == schemeGRPCS }

func (c *Client) useGRPC() (err error) {
	if c.dial == nil {
		return logservice.Errorf(logservice.ErrUnsupported,
			"server address %s needs the option rpc.Transport() of package github.com/harness/log-service/client/rpc", c.base)
	}
	config := transport.Config{Address: c.base.Host, Account: c.account, Token: c.token}
	if c.base.Port() == "" {
		config.Address = net.JoinHostPort(c.base.Hostname(), portGRPC)
	}
	if c.base.Scheme == schemeGRPCS {
		if config.TLS = c.tls; config.TLS == nil {
			config.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
		}
	}
	c.live, err = c.dial(config)
	return err
}

// WithTransport is the building block of rpc.Transport in package client/rpc;
// programs use that option instead.
func WithTransport(dial transport.Dial) Option {
	return func(c *Client) error {
		c.dial = dial
		return nil
	}
}

// WithAccount selects the account that owns the logs. The default is
// logservice.DefaultAccount.
func WithAccount(account string) Option {
	return func(c *Client) error {
		a, err := logservice.ParseAccount(account)
		c.account = a
		return err
	}
}

// WithHTTPClient sends requests through a copy of h, for example for proxies or
// tracing. The copy ignores h.Timeout, which would cut off every tail: use
// contexts to limit calls. A server that stops responding is detected in any case.
func WithHTTPClient(h *http.Client) Option {
	return func(c *Client) error {
		own := *h
		own.Timeout = 0
		c.http = &own
		return nil
	}
}

// WithTLS sets the TLS configuration for https and grpcs, for example for a
// private certificate authority or a client certificate. WithTLS and
// WithHTTPClient replace each other: the later option applies.
func WithTLS(c *tls.Config) Option {
	return func(x *Client) error {
		t, ok := httpTransport().(*http.Transport)
		if !ok {
			return logservice.Invalidf("http.DefaultTransport is not net/http's: give WithHTTPClient a client with certificates of its own")
		}
		t.TLSClientConfig = c.Clone()
		x.http = &http.Client{Transport: t}
		x.tls = c.Clone()
		return nil
	}
}

// WithLogger logs retries (at debug level) and lost lines (as warnings) to l. By
// default nothing is logged.
func WithLogger(l *slog.Logger) Option {
	return func(c *Client) error {
		c.log = l
		return nil
	}
}

// WithRetry replaces DefaultRetry. A zero Retry sends every request once.
func WithRetry(r Retry) Option {
	return func(c *Client) error {
		c.retry = r
		return r.check()
	}
}

// Account returns the account whose logs the client reads and writes.
func (c *Client) Account() string { return c.account }

// CloseIdleConnections closes connections that are not in use. The client
// remains usable.
func (c *Client) CloseIdleConnections() {
	c.http.CloseIdleConnections()
	c.live.CloseIdle()
}

func httpTransport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // the program has replaced it
		return http.DefaultTransport
	}
	t = t.Clone()
	t.MaxIdleConnsPerHost = idleConnections
	return t
}

// checkRedirect keeps the token from other hosts: net/http removes only standard
// credentials when a redirect leads elsewhere. A redirect that is not followed is an
// Error that says where it leads.
func (c *Client) checkRedirect(next func(*http.Request, []*http.Request) error) func(*http.Request, []*http.Request) error {
	return func(r *http.Request, via []*http.Request) error {
		if r.URL.Host != c.base.Host || r.URL.Scheme != c.base.Scheme {
			r.Header.Del(HeaderToken)
		}
		// net/http makes a GET of most redirected requests, which would then do
		// something else, and report success. One to the same host with another
		// scheme wants the address to be corrected: its token does not go along.
		if r.Method != via[0].Method || r.URL.Hostname() == c.base.Hostname() && r.URL.Scheme != c.base.Scheme {
			return http.ErrUseLastResponse
		}
		if next != nil {
			return next(r, via)
		}
		if len(via) >= 10 { // the default of net/http
			return http.ErrUseLastResponse
		}
		return nil
	}
}
