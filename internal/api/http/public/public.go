// Package public finds the address by which clients reach the server, through the
// proxies in front of it.
package public

import (
	"net/http"
	"net/netip"
	"path"
	"strings"
)

// Config is how clients reach the server. The zero value trusts no proxy.
type Config struct {
	// BaseURL is the address of the server's routes: scheme://host[:port][/path],
	// without a slash at the end. Empty: as Origin and the request say.
	BaseURL string
	// Origin is scheme://host[:port], if it is not that of the request.
	Origin string
	// TrustedProxies are the networks of proxies whose X-Forwarded-Prefix counts.
	TrustedProxies []netip.Prefix
	// Origins are those whose scripts may use the server from a browser. Empty:
	// all may if the server has authentication, as their requests carry a token;
	// otherwise none.
	Origins []string
}

// URL returns the address of the server's routes for the client that sent r.
func (c Config) URL(r *http.Request) string {
	if c.BaseURL != "" {
		return c.BaseURL
	}
	origin := c.Origin
	if origin == "" {
		origin = scheme(r) + "://" + r.Host
	}
	return origin + c.prefix(r)
}

// scheme is that of the client's connection, perhaps to a proxy.
func scheme(r *http.Request) string {
	// A proxy that was reached by another proxy appends: the first is the client's.
	first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",")
	switch s := strings.ToLower(strings.TrimSpace(first)); {
	case s == "https", s == "http":
		return s
	case r.TLS != nil:
		return "https"
	}
	return "http"
}

// maxPrefix limits the paths that proxies put in front of those of the server.
const maxPrefix = 1 << 10

// prefix is the path that proxies have removed. Each of several appends its own,
// the outermost first. It is empty unless all of it is a plain path: it becomes a
// part of links.
func (c Config) prefix(r *http.Request) string {
	values := r.Header.Values("X-Forwarded-Prefix")
	if len(values) == 0 || !c.trusts(r.RemoteAddr) {
		return ""
	}
	var all strings.Builder
	for part := range strings.SplitSeq(strings.Join(values, ","), ",") {
		part = strings.TrimRight(strings.TrimSpace(part), "/")
		if part != "" && !plain(part) {
			return ""
		}
		all.WriteString(part)
	}
	if all.Len() > maxPrefix {
		return ""
	}
	return all.String()
}

// trusts reports whether a connection comes from a proxy whose headers count.
func (c Config) trusts(remote string) bool {
	peer, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	for _, network := range c.TrustedProxies {
		if network.Contains(peer.Addr().Unmap().WithZone("")) {
			return true
		}
	}
	return false
}

// plain reports whether s is a path that needs no escape and names what it says.
func plain(s string) bool {
	if s[0] != '/' || path.Clean(s) != s {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') && strings.IndexByte("/-._~", c) < 0 {
			return false
		}
	}
	return true
}
