package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// Protocols that may be spoken at an address, as found by a probe.
const (
	speaksNothing = ""
	speaksHTTP    = "http"
	speaksHTTPS   = "https"
	speaksGRPC    = "grpc"
	speaksGRPCS   = "grpcs"
	speaksAdmin   = "admin" // the listener for metrics and profiles
	speaksOther   = "other" // HTTP, but no log service
)

const (
	// probeTime limits a probe: it only improves a message.
	probeTime = 3 * time.Second
	// maxProbe is how much of an answer is read: enough of the metrics to
	// recognize them.
	maxProbe = 64 << 10
)

// speaks finds out what listens at addr, host:port. It sends no credentials and
// takes at most probeTime.
func speaks(ctx context.Context, addr string) string {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	// Whoever speaks one protocol drops a connection of another one at once.
	found := make(chan string, 3)
	for _, probe := range []func(context.Context, string) string{speaksPlain, speaksTLS, speaksHTTP2} {
		go func() { found <- probe(ctx, addr) }()
	}
	best := speaksNothing
	for range cap(found) {
		if f := <-found; f != speaksNothing && (best == speaksNothing || best == speaksOther) {
			best = f
		}
	}
	return best
}

// speaksPlain asks over HTTP.
func speaksPlain(ctx context.Context, addr string) string {
	status, body := get(ctx, "http://"+addr+"/healthz")
	switch {
	case status == 0:
		return speaksNothing
	case isHealth(status, body):
		return speaksHTTP
	case status == http.StatusBadRequest && strings.Contains(strings.ToLower(body), "https"):
		return speaksNothing // meant for a client of https, see speaksTLS
	}
	if _, body := get(ctx, "http://"+addr+"/metrics"); strings.Contains(body, "\nlog_service_") {
		return speaksAdmin
	}
	return speaksOther
}

// speaksTLS asks over HTTPS, whatever the certificate: nothing secret is sent.
func speaksTLS(ctx context.Context, addr string) string {
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}}} //nolint:gosec // see above
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return speaksNothing
	}
	_ = conn.Close()
	if status, body := get(ctx, "https://"+addr+"/healthz"); status == 0 || isHealth(status, body) {
		return speaksHTTPS // or one that wants a certificate of its client
	} else if status == http.StatusUnsupportedMediaType {
		return speaksGRPCS // grpc-go's answer to other requests
	}
	return speaksHTTPS
}

// wantsCertificate reports whether the server at addr asks its clients for one. A
// server that gets none may close the connection before its reason is read.
func wantsCertificate(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	asked := false
	d := tls.Dialer{Config: &tls.Config{
		InsecureSkipVerify: true, //nolint:gosec // nothing secret is sent
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked = true
			return new(tls.Certificate), nil // none
		},
	}}
	if conn, err := d.DialContext(ctx, "tcp", addr); err == nil {
		_ = conn.Close()
	}
	return asked
}

// speaksHTTP2 recognizes gRPC by its first frame (RFC 9113, section 3.4).
func speaksHTTP2(ctx context.Context, addr string) string {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return speaksNothing
	}
	defer conn.Close()
	if at, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(at)
	}
	const preface, emptySettings = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "\x00\x00\x00\x04\x00\x00\x00\x00\x00"
	if _, err := io.WriteString(conn, preface+emptySettings); err != nil {
		return speaksNothing
	}
	var frame [9]byte
	const settings = 4 // the type of the frame that begins a connection
	if _, err := io.ReadFull(conn, frame[:]); err != nil || frame[3] != settings || !bytes.Equal(frame[5:], make([]byte, 4)) {
		return speaksNothing
	}
	return speaksGRPC
}

// isHealth recognizes the answer of a log service that serves requests, or that
// starts or stops.
func isHealth(status int, body string) bool {
	return status == http.StatusOK && strings.HasPrefix(body, "OK") || status == http.StatusServiceUnavailable
}

// get returns the status, zero if there is none, and the start of the body.
func get(ctx context.Context, url string) (status int, body string) {
	t := &http.Transport{
		DisableKeepAlives: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // nothing secret is sent
	}
	defer t.CloseIdleConnections()
	c := http.Client{Transport: t, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, ""
	}
	resp, err := c.Do(req)
	if err != nil {
		return 0, ""
	}
	defer resp.Body.Close()
	start, _ := io.ReadAll(io.LimitReader(resp.Body, maxProbe)) // cut off or not
	return resp.StatusCode, string(start)
}
