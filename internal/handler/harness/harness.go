// Package harness speaks the protocol that the runners, the delegate and the
// user interface of Harness speak: /stream and /blob, the log named by the
// query parameters accountID and key.
package harness

import (
	"strings"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/handler/endpoint"
)

// Dialect has a method for each route.
type Dialect struct{ api *endpoint.API }

// New returns the dialect over api.
func New(api *endpoint.API) *Dialect { return &Dialect{api} }

// account reads the account of a call. It comes first: clients know the words
// of its absence.
func account(c *endpoint.Call) (string, error) {
	a := c.Query.Get("accountID")
	if a == "" {
		return "", logservice.Invalidf("no account ID in query params")
	}
	return logservice.ParseAccount(a)
}

// identity reads which log a call is about.
func identity(c *endpoint.Call) (logservice.ID, error) {
	a, err := account(c)
	if err != nil {
		return logservice.ID{}, err
	}
	key, err := logservice.ParseKey(c.Query.Get("key"))
	return logservice.ID{Account: a, Key: key}, err
}

// withID reads the identity and calls f.
func withID(c *endpoint.Call, f func(*endpoint.Call, logservice.ID) error) error {
	id, err := identity(c)
	if err != nil {
		return err
	}
	return f(c, id)
}

// Open serves POST /stream.
func (d *Dialect) Open(c *endpoint.Call) error { return withID(c, d.api.Open) }

// Push serves PUT /stream.
func (d *Dialect) Push(c *endpoint.Call) error { return withID(c, d.api.Push) }

// Tail serves GET /stream.
func (d *Dialect) Tail(c *endpoint.Call) error { return withID(c, d.api.Tail) }

// Close serves DELETE /stream: one stream, all at and below the key
// (prefix=true), or those of keyList.
func (d *Dialect) Close(c *endpoint.Call) error {
	a, err := account(c)
	if err != nil {
		return err
	}
	if list := c.Query.Get("keyList"); list != "" {
		return d.closeList(c, a, list)
	}
	prefix, _, err := c.Query.Bool("prefix")
	if err != nil {
		return err
	}
	if !prefix {
		return withID(c, d.api.Close)
	}
	// Some callers end a prefix with its separator.
	key, err := logservice.ParseKey(strings.TrimSuffix(c.Query.Get("key"), "/"))
	if err != nil {
		return err
	}
	return d.api.CloseUnder(c, a, key)
}

// closeList closes the keys of a list separated by commas, and the one of the
// parameter key where that is given as well.
func (d *Dialect) closeList(c *endpoint.Call, account, list string) error {
	names := strings.Split(list, ",")
	if key := c.Query.Get("key"); key != "" {
		names = append(names, key)
	}
	ids := make([]logservice.ID, 0, len(names))
	for _, name := range names {
		key, err := logservice.ParseKey(name)
		if err != nil {
			return err
		}
		ids = append(ids, logservice.ID{Account: account, Key: key})
	}
	return d.api.CloseAll(c, ids)
}

// Info serves GET /stream/info: the caller's account.
func (d *Dialect) Info(c *endpoint.Call) error {
	a, err := account(c)
	if err != nil {
		return err
	}
	return d.api.Info(c, a)
}

// InfoAll serves GET /info/stream: all accounts.
func (d *Dialect) InfoAll(c *endpoint.Call) error { return d.api.Info(c, "") }

// Upload serves POST /blob.
func (d *Dialect) Upload(c *endpoint.Call) error { return withID(c, d.api.Upload) }

// Download serves GET /blob.
func (d *Dialect) Download(c *endpoint.Call) error { return withID(c, d.api.Download) }

// Delete serves DELETE /blob.
func (d *Dialect) Delete(c *endpoint.Call) error { return withID(c, d.api.Delete) }

// Exists serves GET /blob/exists.
func (d *Dialect) Exists(c *endpoint.Call) error { return withID(c, d.api.Exists) }

// UploadLink serves POST /blob/link/upload.
func (d *Dialect) UploadLink(c *endpoint.Call) error { return withID(c, d.api.UploadLink) }

// DownloadLink serves POST /blob/link/download.
func (d *Dialect) DownloadLink(c *endpoint.Call) error { return withID(c, d.api.DownloadLink) }

// ZipLink serves POST /blob/download. Its clients expect 404 for a missing
// prefix.
func (d *Dialect) ZipLink(c *endpoint.Call) error {
	a, err := account(c)
	if err != nil {
		return err
	}
	name := strings.TrimSuffix(c.Query.Get("prefix"), "/")
	if name == "" {
		return endpoint.NotFound("no prefix in query params", "name the logs to download: prefix=<key>")
	}
	prefix, err := logservice.ParseKey(name)
	if err != nil {
		return err
	}
	return d.api.ZipLink(c, a, prefix)
}

// DeleteUnder serves DELETE /internal/blob.
func (d *Dialect) DeleteUnder(c *endpoint.Call) error {
	a, err := account(c)
	if err != nil {
		return err
	}
	prefix, err := logservice.ParseKey(strings.TrimSuffix(c.Query.Get("key"), "/"))
	if err != nil {
		return err
	}
	return d.api.DeleteUnder(c, a, prefix)
}
