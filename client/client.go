package client

import (
	"crypto/tls"
	"log/slog"
	"net/http"
	"net/url"

	logservice "github.com/harness/log-service"
)

// HeaderToken carries the token of a request.
const HeaderToken = "X-Harness-Token"

// idleConnections is how many unused connections to the server are kept: a
// program with that many writers does not dial for each of their batches.
const idleConnections = 64

// Client is a connection to one server on behalf of one account. Its methods
// may be called from any number of goroutines. Make one with New.
type Client struct {
	base    *url.URL
	account string
	token   string
	http    *http.Client
	log     *slog.Logger
	retry   Retry
	// local says that the server is on this machine, where compressing costs
	// more than it saves.
	local bool
}

// Option changes how New makes a Client.
type Option func(*Client) error

// New returns a client of the server at endpoint, an http or https address
// that may end in a path. Empty means logservice.DefaultServer. Nothing is
// sent yet.
func New(endpoint string, opts ...Option) (*Client, error) {
	if endpoint == "" {
		endpoint = logservice.DefaultServer
	}
	base, err := url.Parse(endpoint)
	if err != nil || (base.Scheme != "http" && base.Scheme != "https") || base.Host == "" {
		return nil, logservice.Invalidf("server address %q is not a URL: write it like %s", endpoint, logservice.DefaultServer)
	}
	if base.User != nil || base.RawQuery != "" || base.Fragment != "" {
		return nil, logservice.Invalidf("server address of host %q may have a path, but no user, query or fragment", base.Host)
	}
	c := &Client{
		base:    base,
		account: logservice.DefaultAccount,
		http:    &http.Client{Transport: transport()},
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
	return c, nil
}

// WithToken sends token with every request.
func WithToken(token string) Option {
	return func(c *Client) error {
		c.token = token
		return nil
	}
}

// WithAccount says whose logs these are. Without it they are those of
// logservice.DefaultAccount.
func WithAccount(account string) Option {
	return func(c *Client) error {
		a, err := logservice.ParseAccount(account)
		c.account = a
		return err
	}
}

// WithHTTPClient sends through a copy of h, for certificates, proxies or
// traces. Its Timeout is not used: it would cut every tail. Contexts bound a
// call, and a peer that stops answering is noticed anyway.
func WithHTTPClient(h *http.Client) Option {
	return func(c *Client) error {
		own := *h
		own.Timeout = 0
		c.http = &own
		return nil
	}
}

// WithTLS uses c for https: for a certificate authority of one's own, or a
// certificate that the server asks for. It replaces an earlier WithHTTPClient
// and is replaced by a later one.
func WithTLS(c *tls.Config) Option {
	return func(x *Client) error {
		t, ok := transport().(*http.Transport)
		if !ok {
			return logservice.Invalidf("http.DefaultTransport is not net/http's: give WithHTTPClient a client with certificates of its own")
		}
		t.TLSClientConfig = c.Clone()
		x.http = &http.Client{Transport: t}
		return nil
	}
}

// WithLogger reports retries (at debug level) and lost lines (as warnings) to
// l. Without it nothing is logged.
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

// Account is whose logs the client reads and writes.
func (c *Client) Account() string { return c.account }

// CloseIdleConnections closes the connections that no call uses now. The
// client stays usable.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

func transport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok { // the program has put its own in place
		return http.DefaultTransport
	}
	t = t.Clone()
	t.MaxIdleConnsPerHost = idleConnections
	return t
}

// checkRedirect keeps the token from other hosts: net/http takes only the
// standard credentials out of a request that is sent elsewhere.
func (c *Client) checkRedirect(next func(*http.Request, []*http.Request) error) func(*http.Request, []*http.Request) error {
	return func(r *http.Request, via []*http.Request) error {
		if r.URL.Host != c.base.Host || r.URL.Scheme != c.base.Scheme {
			r.Header.Del(HeaderToken)
		}
		if next != nil {
			return next(r, via)
		}
		if len(via) >= 10 { // as net/http does by itself
			return http.ErrUseLastResponse
		}
		return nil
	}
}
