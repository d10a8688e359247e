package public

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"github.com/harness/log-service/internal/setting"
)

// Settings returns the settings of c.
func (c *Config) Settings() []*setting.Setting {
	return []*setting.Setting{
		setting.Func("BASE_URL",
			"Address by which clients reach the server, `scheme://host[:port][/path]`, for the links that it creates. "+
				"For a server behind a proxy that adds a path, such as `https://ci.example.com/gateway/log-service`. "+
				"If unset, a link has the address of the request that created it, and after that the path in `X-Forwarded-Prefix` if a trusted proxy sent it", c.parseBaseURL),
		setting.Func("TRUSTED_PROXIES",
			"Proxies whose `X-Forwarded-Prefix` is believed, separated by commas: addresses, networks such as `10.0.0.0/8`, "+
				"`loopback`, `private` (the private networks), or `none`", c.parseProxies).Default("loopback"),
		setting.Func("CORS_ORIGINS",
			"Web sites whose scripts may use the server from a browser: `scheme://host[:port]`, separated by commas, or `*`. "+
				"With authentication the default is `*`, because each request carries its token. Without it no other site may: requests from other sites are refused, "+
				"and a server on a loopback address serves only `localhost` and the host of `LOG_SERVICE_BASE_URL`", c.parseOrigins).
			Unset("`*` with authentication, otherwise none"),
	}
}

func (c *Config) parseBaseURL(v string) error {
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("want scheme://host[:port][/path], for example https://ci.example.com/gateway/log-service")
	}
	p := strings.TrimRight(u.EscapedPath(), "/")
	if p != "" && !plain(p) {
		return fmt.Errorf("the path %q is not plain: use letters, digits and - . _ ~", p)
	}
	c.BaseURL = u.Scheme + "://" + u.Host + p
	return nil
}

// networks are names for several networks.
func networks(name string) []string {
	switch name {
	case "none":
		return []string{}
	case "loopback":
		return []string{"127.0.0.0/8", "::1/128"}
	case "private":
		return []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"}
	}
	return []string{name}
}

func (c *Config) parseProxies(v string) error {
	c.TrustedProxies = nil
	for part := range strings.SplitSeq(v, ",") {
		for _, network := range networks(strings.TrimSpace(part)) {
			prefix, err := netip.ParsePrefix(network)
			if err != nil {
				var addr netip.Addr
				if addr, err = netip.ParseAddr(network); err != nil {
					return fmt.Errorf("%q is neither an address nor a network: want for example loopback, 10.0.0.5 or 10.0.0.0/8", network)
				}
				prefix = netip.PrefixFrom(addr, addr.BitLen())
			}
			c.TrustedProxies = append(c.TrustedProxies, prefix.Masked())
		}
	}
	return nil
}
