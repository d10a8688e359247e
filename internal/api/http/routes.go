// Package httpapi is the HTTP API of the service. Every route is a row of the
// table below, such as on(harness.Log, api.Push): a function of a dialect (a
// directory beside this file) finds the log of a request, and a method of package
// endpoint does the work.
package httpapi

import (
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/harness/log-service/internal/api/http/ci"
	"github.com/harness/log-service/internal/api/http/drone"
	"github.com/harness/log-service/internal/api/http/endpoint"
	"github.com/harness/log-service/internal/api/http/harness"
	"github.com/harness/log-service/internal/auth"
)

// Config of New; see endpoint.Config.
type Config = endpoint.Config

// route is one row of the table.
type route struct {
	method  string
	pattern string     // a pattern of http.ServeMux, without a method
	needs   auth.Verbs // the caller's token must have one of these
	serve   endpoint.Func
	cors    bool // browsers of other origins may call it
}

const (
	get, post, put, del = http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete

	list = auth.Push | auth.Tail | auth.Read // whoever uses live logs sees those of its scope
)

// routes is every route of the server. GET also answers HEAD. OPTIONS is
// answered on all of them.
func routes(api *endpoint.API) []route {
	return slices.Concat(harnessRoutes(api), ciRoutes(api), droneRoutes(api), serverRoutes(api))
}

func harnessRoutes(api *endpoint.API) []route {
	return []route{
		{method: get, pattern: "/token", needs: auth.Global, serve: on(harness.TokenAccount, api.Token), cors: true},

		{method: post, pattern: "/token", needs: auth.Push | auth.Tail | auth.Read | auth.Write | auth.Delete, serve: api.Exchange},

		{method: post, pattern: "/stream", needs: auth.Push, serve: on(harness.Log, api.Open)},
		{method: put, pattern: "/stream", needs: auth.Push, serve: on(harness.Log, api.Push)},
		{method: get, pattern: "/stream", needs: auth.Tail, serve: on(harness.TicketLog, api.Tail), cors: true},
		{method: del, pattern: "/stream", needs: auth.Push, serve: harness.Close(api)},
		{method: post, pattern: "/stream/ticket", needs: auth.Tail, serve: on(harness.Log, api.Ticket), cors: true},
		{method: get, pattern: "/stream/info", needs: list, serve: on(harness.Listing, api.Info), cors: true},
		{method: get, pattern: "/info/stream", needs: auth.Global, serve: on(harness.AllAccounts, api.Info), cors: true},

		{method: post, pattern: "/blob", needs: auth.Write, serve: on(harness.Log, api.Upload)},
		{method: get, pattern: "/blob", needs: auth.Read, serve: on(harness.Log, api.Download), cors: true},
		{method: del, pattern: "/blob", needs: auth.Delete, serve: on(harness.Log, api.Delete), cors: true},
		{method: get, pattern: "/blob/exists", needs: auth.Read, serve: on(harness.Log, api.Exists), cors: true},
		{method: post, pattern: "/blob/link/upload", needs: auth.Write, serve: on(harness.Log, api.UploadLink), cors: true},
		{method: post, pattern: "/blob/link/download", needs: auth.Read, serve: on(harness.Log, api.DownloadLink), cors: true},
		{method: post, pattern: "/blob/download", needs: auth.Read, serve: on(harness.ZipTree, api.ZipLink), cors: true},
		{method: del, pattern: "/internal/blob", needs: auth.Global, serve: on(harness.Tree, api.DeleteUnder)},

		{method: put, pattern: endpoint.PathUploadLink, needs: auth.Public, serve: api.LinkedUpload, cors: true},
		{method: get, pattern: endpoint.PathDownloadLink, needs: auth.Public, serve: api.LinkedDownload, cors: true},
		{method: get, pattern: endpoint.PathZipLink, needs: auth.Public, serve: api.LinkedZip, cors: true},
	}
}

func ciRoutes(api *endpoint.API) []route {
	const (
		ciStream = "/ci/{project}/{build}/{stage}/{step}/stream"
		ciBlob   = "/ci/{project}/{build}/{stage}/{step}/blob"
	)
	return []route{
		{method: post, pattern: ciStream, needs: auth.Push, serve: on(ci.Log, api.Open)},
		{method: put, pattern: ciStream, needs: auth.Push, serve: on(ci.Log, api.Push)},
		{method: get, pattern: ciStream, needs: auth.Tail, serve: on(ci.Log, api.Tail), cors: true},
		{method: del, pattern: ciStream, needs: auth.Push, serve: on(ci.Log, api.Close)},
		{method: post, pattern: ciBlob, needs: auth.Write, serve: on(ci.Log, api.Upload)},
		{method: get, pattern: ciBlob, needs: auth.Read, serve: on(ci.Log, api.Download), cors: true},
		{method: del, pattern: ciBlob, needs: auth.Delete, serve: on(ci.Log, api.Delete), cors: true},
		{method: get, pattern: ciBlob + "/exists", needs: auth.Read, serve: on(ci.Log, api.Exists), cors: true},
		{method: post, pattern: ciBlob + "/link/upload", needs: auth.Write, serve: on(ci.Log, api.UploadLink), cors: true},
		{method: post, pattern: ciBlob + "/link/download", needs: auth.Read, serve: on(ci.Log, api.DownloadLink), cors: true},
		{method: get, pattern: "/ci/streams", needs: list, serve: on(ci.Listing, api.Info), cors: true},
	}
}

func droneRoutes(api *endpoint.API) []route {
	const droneLogs = "/rpc/v2/step/{id}/logs"
	steps := drone.New(api)
	return []route{
		{method: post, pattern: droneLogs + "/batch", needs: auth.Push, serve: on(drone.Step, steps.Batch)},
		{method: post, pattern: droneLogs + "/upload", needs: auth.Write, serve: on(drone.Step, steps.Upload)},
	}
}

// serverRoutes are about the server, or are answered with what it does not do.
func serverRoutes(api *endpoint.API) []route {
	return []route{
		{method: get, pattern: "/healthz", needs: auth.Public, serve: api.Health},
		{method: get, pattern: "/ready/healthz", needs: auth.Public, serve: api.Ready},
		{method: get, pattern: "/metrics", needs: auth.Global, serve: api.Metrics},

		{method: post, pattern: "/rca", needs: auth.Public, serve: endpoint.NotImplemented},
		{method: post, pattern: "/stackdriver", needs: auth.Public, serve: endpoint.NotImplemented},
		{method: get, pattern: "/stackdriver", needs: auth.Public, serve: endpoint.NotImplemented},
	}
}

// on is endpoint.On.
func on[T any](find func(*endpoint.Call) (T, error), do func(*endpoint.Call, T) error) endpoint.Func {
	return endpoint.On(find, do)
}

// New returns the handler of the whole server.
func New(c Config) http.Handler {
	api := endpoint.New(c)
	byPattern := map[string]*methods{}
	mux := http.NewServeMux()
	for _, r := range routes(api) {
		m := byPattern[r.pattern]
		if m == nil {
			m = &methods{serve: map[string]http.Handler{}}
			byPattern[r.pattern] = m
			mux.Handle(r.pattern, m)
		}
		m.add(api, r)
	}
	for pattern, m := range byPattern {
		m.finish(api, pattern)
	}
	missing := api.Handler(otherMethod, "other", auth.Public, func(*endpoint.Call) error {
		return endpoint.NotFound("no such route", "")
	})
	mux.Handle("/", missing)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r = withoutOuterSlashes(r)
		// ServeMux redirects paths with empty and dot segments to other paths, which
		// no client of this service means.
		if p := r.URL.EscapedPath(); path.Clean(p) != p {
			missing.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

// withoutOuterSlashes returns r without slashes that clients add to a path: at its
// end, and at its start if their address of the server ends in one.
func withoutOuterSlashes(r *http.Request) *http.Request {
	escaped := r.URL.EscapedPath()
	trimmed := strings.Trim(escaped, "/")
	before := strings.Index(escaped, trimmed) - 1
	after := len(escaped) - len(trimmed) - before - 1
	if trimmed == "" || before < 0 || before == 0 && after == 0 {
		return r
	}
	u := *r.URL
	u.Path = u.Path[before : len(u.Path)-after]
	if u.RawPath != "" {
		u.RawPath = u.RawPath[before : len(u.RawPath)-after]
	}
	r = r.WithContext(r.Context()) // a copy
	r.URL = &u
	return r
}

// otherMethod is the label in metrics of all other methods, which clients can invent.
const otherMethod = "other"

// methods are the routes of one pattern.
type methods struct {
	serve   map[string]http.Handler
	allow   []string
	cors    []string // the methods that browsers of other origins may use
	refused http.Handler
}

func (m *methods) add(api *endpoint.API, r route) {
	serve := r.serve
	names := []string{r.method}
	if r.method == http.MethodGet {
		names = append(names, http.MethodHead)
	}
	if r.cors {
		m.cors = append(m.cors, names...)
	}
	if r.cors || r.needs != auth.Public {
		serve = api.Browsers(r.cors, r.serve)
	}
	for _, name := range names {
		m.serve[name] = api.Handler(name, r.pattern, r.needs, serve)
	}
	m.allow = append(m.allow, names...)
}

// finish adds OPTIONS and the answer for other methods.
func (m *methods) finish(api *endpoint.API, pattern string) {
	m.allow = append(m.allow, http.MethodOptions)
	slices.Sort(m.allow)
	slices.Sort(m.cors)
	allow := strings.Join(m.allow, ", ")
	m.serve[http.MethodOptions] = api.Handler(http.MethodOptions, pattern, auth.Public, api.Options(allow, strings.Join(m.cors, ", ")))
	refused := endpoint.MethodNotAllowed(allow)
	if slices.Contains([]string{endpoint.PathUploadLink, endpoint.PathDownloadLink, endpoint.PathZipLink}, pattern) {
		refused = endpoint.NotByThisLink // as object stores answer, which clients expect
	}
	m.refused = api.Handler(otherMethod, pattern, auth.Public, refused)
}

func (m *methods) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := m.serve[r.Method]
	if h == nil {
		h = m.refused
	}
	h.ServeHTTP(w, r)
}
