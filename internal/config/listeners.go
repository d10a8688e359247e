package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/harness/log-service/internal/duration"
	"github.com/harness/log-service/internal/setting"
)

// Addresses of the gRPC service; see Config.GRPCBind.
const (
	DefaultGRPCBind = "127.0.0.1:8078"
	GRPCOff         = "off"
)

// authBind is the default address of a server with authentication: clients of the
// original Harness log service expect it on every interface.
const authBind = ":8079"

func (c *Config) listeners() []*setting.Setting {
	return []*setting.Setting{
		bind(&c.Bind, "HTTP_BIND",
			"Address to listen on, `host:port`. Without a host (`:8079`) it listens on all interfaces; port 0 selects a free port. "+
				"An address that other machines can reach requires authentication or `LOG_SERVICE_DISABLE_AUTH=true`. "+
				"With authentication the default is `"+authBind+"`").Default("127.0.0.1:8079"),
		setting.Func("GRPC_BIND",
			"Address for live logs over [gRPC](grpc.md), `host:port`; `off` disables it. If set, the address must be free, "+
				"and the rule of `LOG_SERVICE_HTTP_BIND` applies", c.parseGRPCBind).
			Unset("`" + DefaultGRPCBind + "`, or a free port if that is in use"),
		bind(&c.AdminBind, "ADMIN_BIND",
			"Loopback address of a second listener, `host:port`, with metrics and Go profiles; it requires no token. See [operations.md](operations.md#metrics)"),
		setting.Func("STOP_DELAY",
			"How long a stopping server, which is not ready, continues to serve; at most `8s`. See [operations.md](operations.md#stopping)", c.parseStopDelay).Default("0s"),
		setting.Count(&c.MaxConnections, "MAX_CONNECTIONS",
			"Connections to all listeners together. `0`: the limit on open files, less a quarter of it (64 to 4096) as a reserve. "+
				"See [operations.md](operations.md#connections)").Default("0"),
		setting.Text(&c.TLSCert, "TLS_CERT",
			"PEM file with the server's certificate, followed by its chain. The server then speaks only HTTPS (TLS 1.2 or 1.3, HTTP/1.1 and HTTP/2). "+
				"Certificate and key are reloaded when the files change"),
		setting.Text(&c.TLSKey, "TLS_KEY", "PEM file with the private key of that certificate"),
		setting.Text(&c.TLSClientCA, "TLS_CLIENT_CA",
			"PEM file of certificate authorities. Clients then need a certificate from one of them, in addition to a token"),
		setting.OneOf(&c.Proto, "HTTP_PROTO",
			"Scheme of the links that the server creates, `http` or `https`, for a server behind a proxy that terminates TLS. "+
				"Needs `LOG_SERVICE_HTTP_HOST`. With `LOG_SERVICE_TLS_CERT` it is `https`", "http", "https").Default("http"),
		setting.Func("HTTP_HOST",
			"Host, or `host:port`, of those links. If unset, a link uses the address of the request that created it", c.parseHost),
	}
}

func (c *Config) disableAuth() *setting.Setting {
	return setting.Bool(&c.DisableAuth, "DISABLE_AUTH",
		"`true`: anyone who can reach the server may read and write every log, whatever else is set here: for servers with access control in front of them")
}

// bind is a setting of an address to listen on, stored in p.
func bind(p *string, name, meaning string) *setting.Setting {
	return setting.Func(name, meaning, func(v string) error { return parseBind(p, v) })
}

func parseBind(p *string, v string) error {
	host, port, err := net.SplitHostPort(v)
	if err != nil {
		return errors.New("want host:port, for example 127.0.0.1:8079, or :8079 for all interfaces")
	}
	n, err := strconv.ParseUint(port, 10, 16)
	switch {
	case err != nil:
		return fmt.Errorf("port %q is not a number from 0 to %d", port, 1<<16-1)
	case strings.ContainsAny(host, " /@"):
		return fmt.Errorf("%q is not a host name or an address", host)
	}
	*p = net.JoinHostPort(host, strconv.FormatUint(n, 10))
	return nil
}

func (c *Config) parseGRPCBind(v string) error {
	if strings.EqualFold(v, GRPCOff) {
		c.GRPCBind = GRPCOff
		return nil
	}
	if err := parseBind(&c.GRPCBind, v); err != nil {
		return fmt.Errorf("%w; or %s for none", err, GRPCOff)
	}
	return nil
}

func (c *Config) parseStopDelay(v string) error {
	d, err := duration.Parse(v)
	if err != nil || d < 0 || d > maxStopDelay {
		return fmt.Errorf("want a time from 0s to %v, for example 5s", maxStopDelay)
	}
	c.StopDelay = d
	return nil
}

func (c *Config) parseHost(v string) error {
	if strings.ContainsAny(v, "/?#@ ") {
		return errors.New("want host or host:port alone, for example logs.example.com; the scheme is LOG_SERVICE_HTTP_PROTO")
	}
	c.Host = v
	return nil
}

// Loopback reports whether the server is reachable only from this machine.
func (c *Config) Loopback() bool {
	name, _ := c.reachable()
	return name == ""
}

// reachable returns the first setting that makes the server reachable from other
// machines, without the prefix, and its value; both are empty if there is none.
func (c *Config) reachable() (name, value string) {
	switch {
	case !loopback(c.Bind):
		return "HTTP_BIND", c.Bind
	case c.GRPCBind != "" && c.GRPCBind != GRPCOff && !loopback(c.GRPCBind):
		return "GRPC_BIND", c.GRPCBind
	}
	return "", ""
}

// LoopbackOnly reports whether the HTTP API is reachable only from this machine.
func (c *Config) LoopbackOnly() bool { return loopback(c.Bind) }

// loopback reports whether an address is reachable only from this machine. A host
// name other than localhost counts as reachable, because its address may change.
func loopback(bind string) bool {
	host, _, err := net.SplitHostPort(bind)
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}
