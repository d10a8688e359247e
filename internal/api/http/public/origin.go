package public

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// AnyOrigin in Config.Origins is every origin.
const AnyOrigin = "*"

// parseOrigins reads origins as browsers write them: scheme://host[:port].
func (c *Config) parseOrigins(v string) error {
	c.Origins = nil
	for part := range strings.SplitSeq(v, ",") {
		part = strings.TrimSpace(part)
		if part == "" {
			continue
		}
		u, err := url.Parse(part)
		switch {
		case part == AnyOrigin:
		case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || strings.TrimRight(part, "/") != u.Scheme+"://"+u.Host:
			return fmt.Errorf("%q is no origin: want scheme://host[:port], for example https://ci.example.com, several separated by commas, or %s", part, AnyOrigin)
		default:
			part = strings.ToLower(u.Scheme + "://" + u.Host)
		}
		c.Origins = append(c.Origins, part)
	}
	if len(c.Origins) == 0 {
		return errors.New("want at least one origin")
	}
	return nil
}

// Allowed is the value of Access-Control-Allow-Origin for a request: empty if
// scripts of its origin may not read the answer. Without authentication only the
// listed origins may.
func (c Config) Allowed(r *http.Request, open bool) string {
	if slices.Contains(c.Origins, AnyOrigin) || len(c.Origins) == 0 && !open {
		return AnyOrigin
	}
	if origin := r.Header.Get("Origin"); c.lists(origin) {
		return origin
	}
	return ""
}

func (c Config) lists(origin string) bool {
	return slices.Contains(c.Origins, AnyOrigin) || slices.Contains(c.Origins, strings.ToLower(origin))
}

// Foreign reports whether a web page of another site sent r. A person who follows a
// link from there did not: the page sees nothing of the answer. Requests of
// programs have none of the headers of browsers.
func (c Config) Foreign(r *http.Request) bool {
	if r.Header["Origin"] == nil && r.Header["Sec-Fetch-Site"] == nil {
		return false
	}
	origin := r.Header.Get("Origin")
	if origin != "" && c.lists(origin) {
		return false
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none":
		return false
	case "":
		return origin != "" && !c.own(r, origin)
	}
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	follows := r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
	return !read || !follows
}

// own reports whether origin is this server, for browsers that do not say so.
func (c Config) own(r *http.Request, origin string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false
	}
	return strings.EqualFold(u.Host, r.Host) || strings.EqualFold(u.Host, c.host())
}

// host is the host[:port] by which clients reach the server, if it is configured.
func (c Config) host() string {
	for _, address := range []string{c.BaseURL, c.Origin} {
		if u, err := url.Parse(address); err == nil && u.Host != "" {
			return u.Host
		}
	}
	return ""
}

// Serves reports whether the host of r may be a name of a server that listens on a
// loopback address. A web page can make its own name lead there (DNS rebinding), and
// its requests have that name. A name without a dot is not one of the Internet's:
// only this machine or its network can have given it.
func (c Config) Serves(r *http.Request) bool {
	return LocalHost(r.Host) || strings.EqualFold(r.Host, c.host()) || !strings.ContainsAny(r.Host, ".[")
}

// LocalHost reports whether a host, perhaps with a port, is this machine.
func LocalHost(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"))
	return err == nil && ip.Unmap().IsLoopback()
}
