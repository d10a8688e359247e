// Package ci names logs by the place of a step in a build:
// /ci/{project}/{build}/{stage}/{step}. It is the dialect of the command
// line's first release, and the example of how to add one.
package ci

import (
	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/handler/endpoint"
)

// Dialect has a method for each route.
type Dialect struct{ api *endpoint.API }

// New returns the dialect over api.
func New(api *endpoint.API) *Dialect { return &Dialect{api} }

// account is the parameter accountID, by default the account of servers
// without authentication.
func account(c *endpoint.Call) (endpoint.Account, error) {
	a := c.Query.Get("accountID")
	if a == "" {
		a = logservice.DefaultAccount
	}
	return c.Account(a)
}

// withStep reads the identity from the path and calls f. PathValue has each
// part decoded once; a part with an encoded slash is refused, as it would be
// another step's key.
func withStep(c *endpoint.Call, f func(*endpoint.Call, endpoint.Log) error) error {
	a, err := account(c)
	if err != nil {
		return err
	}
	r := c.Request
	key, err := logservice.CIKey(r.PathValue("project"), r.PathValue("build"), r.PathValue("stage"), r.PathValue("step"))
	if err != nil {
		return err
	}
	l, err := a.Log(key)
	if err != nil {
		return err
	}
	return f(c, l)
}

// Open serves POST .../stream.
func (d *Dialect) Open(c *endpoint.Call) error { return withStep(c, d.api.Open) }

// Push serves PUT .../stream.
func (d *Dialect) Push(c *endpoint.Call) error { return withStep(c, d.api.Push) }

// Tail serves GET .../stream.
func (d *Dialect) Tail(c *endpoint.Call) error { return withStep(c, d.api.Tail) }

// Close serves DELETE .../stream.
func (d *Dialect) Close(c *endpoint.Call) error { return withStep(c, d.api.Close) }

// Upload serves POST .../blob.
func (d *Dialect) Upload(c *endpoint.Call) error { return withStep(c, d.api.Upload) }

// Download serves GET .../blob.
func (d *Dialect) Download(c *endpoint.Call) error { return withStep(c, d.api.Download) }

// Delete serves DELETE .../blob.
func (d *Dialect) Delete(c *endpoint.Call) error { return withStep(c, d.api.Delete) }

// Exists serves GET .../blob/exists.
func (d *Dialect) Exists(c *endpoint.Call) error { return withStep(c, d.api.Exists) }

// UploadLink serves POST .../blob/link/upload.
func (d *Dialect) UploadLink(c *endpoint.Call) error { return withStep(c, d.api.UploadLink) }

// DownloadLink serves POST .../blob/link/download.
func (d *Dialect) DownloadLink(c *endpoint.Call) error { return withStep(c, d.api.DownloadLink) }

// Info serves GET /ci/streams.
func (d *Dialect) Info(c *endpoint.Call) error {
	a, err := account(c)
	if err != nil {
		return err
	}
	prefix, err := c.Query.Prefix()
	if err != nil {
		return err
	}
	t, err := a.Listing(prefix)
	if err != nil {
		return err
	}
	return d.api.Info(c, t)
}
