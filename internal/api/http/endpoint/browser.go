package endpoint

import (
	"net/http"

	"github.com/harness/log-service/internal/api/http/public"
)

// allow lets scripts of an origin that is permitted read the answer.
func (a *API) allow(c *Call) {
	origin := a.public.Allowed(c.Request, a.auth == nil)
	if origin == "" {
		return
	}
	h := c.Header()
	h.Set("Access-Control-Allow-Origin", origin)
	h.Set("Access-Control-Expose-Headers", ExposedHeaders)
	if origin != public.AnyOrigin {
		h.Add("Vary", "Origin")
	}
}

// serves remembers the last host that was accepted: most requests have the same.
func (a *API) serves(r *http.Request) bool {
	if last := a.host.Load(); last != nil && *last == r.Host {
		return true
	}
	if !a.public.Serves(r) {
		return false
	}
	host := r.Host
	a.host.Store(&host)
	return true
}

// Browsers applies to f what protects a server from web pages. Scripts of other
// origins may read the answer if cors is set and the configuration permits it.
// Without authentication whatever a browser sends is permitted, so a request that
// a page of another site makes is refused, and one for another host.
func (a *API) Browsers(cors bool, f Func) Func {
	open := a.auth == nil
	return func(c *Call) error {
		if cors {
			a.allow(c)
		}
		switch {
		case !open:
		case a.loopback && !a.serves(c.Request):
			return &statusError{status: http.StatusMisdirectedRequest, reason: "wrong_host",
				msg:  "this server has no authentication and does not serve the host of this request",
				hint: "use localhost, or set LOG_SERVICE_BASE_URL to the address of the server"}
		case a.public.Foreign(c.Request):
			return &statusError{status: http.StatusForbidden, reason: "cross_site",
				msg:  "this server has no authentication and refuses the requests of other web sites",
				hint: "name the site in LOG_SERVICE_CORS_ORIGINS if it may use all logs"}
		}
		return f(c)
	}
}
