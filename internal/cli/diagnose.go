package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
)

// diagnosis says in plain words why there was no answer of a log service.
type diagnosis struct {
	what string // in place of what the network said
	hint string // the way out
}

// diagnose explains err if it comes from the way to the server, and not from the
// server. The result is nil for all other errors.
func (s *session) diagnose(ctx context.Context, err error) (text string, d *diagnosis) {
	if s.root == nil {
		return "", nil
	}
	at, bad := serverAddress(s.root.ServerURL)
	if bad != nil {
		return "", nil
	}
	at.ctx, at.program, at.certified = ctx, s.Name, s.root.Cert != ""
	said, d := at.explain(err)
	if d == nil {
		return "", nil
	}
	return strings.Replace(err.Error(), said, d.what, 1), d
}

// explain returns nil if err has another cause than the way to the server. said is
// the part of the message that d replaces.
func (a address) explain(err error) (said string, d *diagnosis) {
	if ended, ok := errors.AsType[interface {
		error
		Before() error
	}](err); ok {
		return a.explain(ended.Before())
	}
	if e, ok := errors.AsType[*client.Error](err); ok {
		if !e.Foreign {
			return "", nil
		}
		return e.Message, a.foreign(e)
	}
	u, ok := errors.AsType[*logservice.UnavailableError](err)
	if !ok {
		return "", nil
	}
	return u.Error(), a.network(u.Cause)
}

// address is the server that a command talked to.
type address struct {
	ctx          context.Context
	program      string
	scheme, host string // host includes the port
	name         string // host without the port
	tls          bool
	certified    bool // a client certificate was given

	http, grpc string // the default ports of a log service
}

func serverAddress(server string) (a address, err error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" {
		return a, errors.New("no URL")
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
		if port == "" {
			port = portGRPC
		}
	}
	return address{scheme: u.Scheme, host: net.JoinHostPort(u.Hostname(), port), name: u.Hostname(), tls: u.Scheme == "https" || u.Scheme == "grpcs", http: portHTTP, grpc: portGRPC}, nil
}

// Default ports of the server.
const (
	portHTTP = "8079"
	portGRPC = "8078"
)

// foreign explains an HTTP answer that is not from a log service.
func (a address) foreign(e *client.Error) *diagnosis {
	proxy := a.proxyHost()
	switch {
	case e.Status == http.StatusProxyAuthRequired:
		return a.proxyWantsUser()
	case e.Status/100 == 3: // the client has said where it leads
		return nil
	case proxy != "":
		return &diagnosis{"the proxy " + proxy + " answers instead of the log service: " + e.Message, past(a)}
	case e.Status == http.StatusBadGateway, e.Status == http.StatusServiceUnavailable, e.Status == http.StatusGatewayTimeout:
		return &diagnosis{"a proxy in front of the log service answers " + strconv.Itoa(e.Status) + " " + http.StatusText(e.Status),
			"the log service may be down: the same command may work later"}
	}
	return a.otherProtocol()
}

// network explains why a connection failed.
func (a address) network(err error) *diagnosis {
	text := err.Error()
	op, _ := errors.AsType[*net.OpError](err)
	switch {
	case isUntrusted(err):
		return a.certificate(err)
	case strings.Contains(text, "tls: certificate required"):
		return a.noCertificate()
	case strings.Contains(text, "remote error: tls: "):
		_, alert, _ := strings.Cut(text, "remote error: tls: ")
		return &diagnosis{"the server at " + a.host + " does not accept this client (TLS: " + alert + ")",
			"check --client-cert and --client-key: the server trusts only some authorities"}
	}
	if d := a.proxy(err, op); d != nil {
		return d
	}
	dns, isDNS := errors.AsType[*net.DNSError](err)
	switch {
	case isDNS && dns.IsNotFound, strings.Contains(text, "produced zero addresses"): // as gRPC has it
		return &diagnosis{"there is no host " + a.name, "check the name in " + a.given()}
	case isDNS:
		return &diagnosis{"the address of the host " + a.name + " cannot be found: the name server does not answer", "check the network of this machine"}
	case errors.Is(err, syscall.ECONNREFUSED), strings.Contains(text, "actively refused"): // as Windows has it
		return a.refused()
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return &diagnosis{"there is no way to " + a.host + " in the network", "check the network of this machine, and " + a.given()}
	case isTimeout(err), strings.Contains(text, "stopped answering"):
		return &diagnosis{a.host + " does not answer", "check " + a.given() + ", and whether a firewall is in between"}
	}
	if d := a.otherProtocol(); d != nil {
		return d
	}
	switch {
	case strings.Contains(text, "malformed HTTP"), strings.Contains(text, "server preface"):
		return &diagnosis{"what answers at " + a.host + " is neither a log service nor a web server", a.main()}
	case a.tls && !a.certified && wantsCertificate(a.ctx, a.host):
		return a.noCertificate()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return &diagnosis{"the connection to " + a.host + " was lost", "the server may be restarting: the same command may work later"}
	}
	return &diagnosis{"no connection to " + a.host + " (" + innermost(err).Error() + ")", "check " + a.given()}
}

func (a address) noCertificate() *diagnosis {
	return &diagnosis{"the server at " + a.host + " wants a certificate of its client", "give one with --client-cert FILE and --client-key FILE"}
}

// given names where the address comes from.
func (a address) given() string { return "--server " + a.scheme + "://" + a.host }

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, context.DeadlineExceeded)
}

// innermost returns what err began with.
func innermost(err error) error {
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// refused looks for the server at its default ports.
func (a address) refused() *diagnosis {
	d := &diagnosis{"nothing listens on " + a.host + " (connection refused)", "is the server running? start one with: " + a.program + " server; or name another with --server URL"}
	if ip := net.ParseIP(a.name); a.name != "localhost" && (ip == nil || !ip.IsLoopback()) {
		d.hint = "check whether the server runs there, and the port in " + a.given()
	}
	if at := a.elsewhere(); at != "" {
		d.hint = "a log service is at " + at + ": use --server " + at
	}
	return d
}

// elsewhere returns the URL of a log service at the default ports of the host, or
// "".
func (a address) elsewhere() string {
	ports := []string{a.http}
	if strings.HasPrefix(a.scheme, "grpc") {
		ports = []string{a.grpc, a.http}
	}
	for _, port := range ports {
		addr := net.JoinHostPort(a.name, port)
		if addr == a.host {
			continue
		}
		if p := speaks(a.ctx, addr); p != speaksNothing && p != speaksOther && p != speaksAdmin {
			return p + "://" + addr
		}
	}
	return ""
}

// otherProtocol explains that the address is right, but not what is spoken there.
func (a address) otherProtocol() *diagnosis {
	found := speaks(a.ctx, a.host)
	switch found {
	case speaksNothing, a.scheme:
		return nil
	case speaksAdmin:
		return &diagnosis{a.host + " is the server's port for metrics (LOG_SERVICE_ADMIN_BIND), not for logs", a.main()}
	case speaksOther:
		return &diagnosis{a.host + " is a web server, but no log service", a.main()}
	case speaksGRPC, speaksGRPCS:
		if strings.HasPrefix(a.scheme, "grpc") {
			break
		}
		hint := "use --server " + found + "://" + a.host + " for live logs, and the address for HTTP, which the server prints at its start, for all"
		if at := a.elsewhere(); at != "" {
			hint = "use --server " + at + "; or, for live logs only, --server " + found + "://" + a.host
		}
		return &diagnosis{a.host + " is the server's port for gRPC, not for " + strings.ToUpper(a.scheme), hint}
	}
	return &diagnosis{"the server at " + a.host + " speaks " + found + ", not " + a.scheme, "use --server " + found + "://" + a.host}
}

// main says where the main address is.
func (a address) main() string {
	if at := a.elsewhere(); at != "" {
		return "use --server " + at
	}
	return "use the address that the server prints at its start, by default http://" + net.JoinHostPort(a.name, a.http)
}

// proxy explains a failure of the proxy that the environment names.
func (a address) proxy(err error, op *net.OpError) *diagnosis {
	text := innermost(err).Error()
	switch {
	case op != nil && op.Op == "proxyconnect":
		return &diagnosis{"the proxy " + a.proxyHost() + " cannot be reached (" + text + ")", past(a)}
	case text == http.StatusText(http.StatusProxyAuthRequired):
		return a.proxyWantsUser()
	}
	for status := 400; status < 600; status++ { // what net/http makes of its refusal
		if text != "" && text == http.StatusText(status) {
			return &diagnosis{"the proxy " + a.proxyHost() + " makes no connection to " + a.host + " (" + strconv.Itoa(status) + " " + text + ")", past(a)}
		}
	}
	return nil
}

func past(a address) string {
	return "it is set in HTTP_PROXY or HTTPS_PROXY; to go past it: NO_PROXY=" + a.name
}

func (a address) proxyWantsUser() *diagnosis {
	return &diagnosis{"the proxy " + a.proxyHost() + " wants a user and a password (407 Proxy Authentication Required)",
		"put them in HTTP_PROXY or HTTPS_PROXY; or go past it: NO_PROXY=" + a.name}
}

// proxyHost returns the host of the proxy in use, without a password, or "".
func (a address) proxyHost() string {
	p, err := http.ProxyFromEnvironment(&http.Request{URL: &url.URL{Scheme: a.scheme, Host: a.host}})
	if err != nil || p == nil {
		return ""
	}
	return p.Host
}

// maxNames is how many names of a certificate a message has.
const maxNames = 5

// certificate explains what is wrong with the server's certificate.
func (a address) certificate(err error) *diagnosis {
	const own = "if the server's certificate is from an authority of your own, name that: --ca-file FILE"
	var (
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		unknown x509.UnknownAuthorityError
	)
	day := func(t time.Time) string { return t.UTC().Format(time.DateOnly) }
	switch {
	case errors.As(err, &host):
		names := append([]string(nil), host.Certificate.DNSNames...)
		for _, ip := range host.Certificate.IPAddresses {
			names = append(names, ip.String())
		}
		if len(names) == 0 {
			return &diagnosis{"the certificate of " + a.host + " has no name", "the server needs one that is for " + a.name}
		}
		names = names[:min(len(names), maxNames)]
		_, port, _ := net.SplitHostPort(a.host)
		return &diagnosis{"the certificate of " + a.host + " is for " + strings.Join(names, ", ") + ", not for " + a.name,
			"use a name that it is for, such as --server " + a.scheme + "://" + net.JoinHostPort(strings.Replace(names[0], "*", "NAME", 1), port)}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		now, cert := time.Now(), invalid.Cert
		if now.Before(cert.NotBefore) {
			return &diagnosis{"the certificate of " + a.host + " is valid only from " + day(cert.NotBefore) + " on", "check the clock of this machine: it shows " + now.UTC().Format(time.RFC3339)}
		}
		return &diagnosis{"the certificate of " + a.host + " expired on " + day(cert.NotAfter), "the server needs a new one"}
	case errors.As(err, &unknown):
		by := ""
		if unknown.Cert != nil && unknown.Cert.Issuer.CommonName != "" {
			by = " (" + unknown.Cert.Issuer.CommonName + ")"
		}
		return &diagnosis{"the certificate of " + a.host + " is from an authority that this machine does not trust" + by, own}
	}
	verification, _ := errors.AsType[*tls.CertificateVerificationError](err)
	return &diagnosis{"the certificate of " + a.host + " is not valid (" + innermost(verification.Err).Error() + ")", own}
}
