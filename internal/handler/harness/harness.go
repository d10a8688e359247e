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
func account(c *endpoint.Call) (endpoint.Account, error) {
	a := c.Query.Get("accountID")
	if a == "" {
		return endpoint.Account{}, logservice.Invalidf("no account ID in query params")
	}
	return c.Account(a)
}

// withLog reads which log a call is about and calls f.
func withLog(c *endpoint.Call, f func(*endpoint.Call, endpoint.Log) error) error {
	a, err := account(c)
	if err != nil {
		return err
	}
	key, err := logservice.ParseKey(c.Query.Get("key"))
	if err != nil {
		return err
	}
	l, err := a.Log(key)
	if err != nil {
		return err
	}
	return f(c, l)
}

// withTree reads the prefix that a call is about from the parameter of that
// name and calls f. Some callers end a prefix with its separator.
func withTree(c *endpoint.Call, name string, f func(*endpoint.Call, endpoint.Tree) error) error {
	a, err := account(c)
	if err != nil {
		return err
	}
	prefix, err := logservice.ParseKey(strings.TrimSuffix(c.Query.Get(name), "/"))
	if err != nil {
		return err
	}
	t, err := a.Tree(prefix)
	if err != nil {
		return err
	}
	return f(c, t)
}

// Open serves POST /stream.
func (d *Dialect) Open(c *endpoint.Call) error { return withLog(c, d.api.Open) }

// Push serves PUT /stream.
func (d *Dialect) Push(c *endpoint.Call) error { return withLog(c, d.api.Push) }

// Tail serves GET /stream, for a token or for a ticket.
func (d *Dialect) Tail(c *endpoint.Call) error {
	ticket := c.Query.Get("ticket")
	if ticket == "" {
		return withLog(c, d.api.Tail)
	}
	id, err := logservice.ParseID(c.Query.Get("accountID"), c.Query.Get("key"))
	if err != nil {
		return err
	}
	l, err := d.api.Ticketed(id, ticket)
	if err != nil {
		return err
	}
	return d.api.Tail(c, l)
}

// Ticket serves POST /stream/ticket.
func (d *Dialect) Ticket(c *endpoint.Call) error { return withLog(c, d.api.Ticket) }

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
		return withLog(c, d.api.Close)
	}
	return withTree(c, "key", d.api.CloseUnder)
}

// closeList closes the keys of a list separated by commas, and the one of the
// parameter key where that is given as well.
func (d *Dialect) closeList(c *endpoint.Call, a endpoint.Account, list string) error {
	names := strings.Split(list, ",")
	if key := c.Query.Get("key"); key != "" {
		names = append(names, key)
	}
	several := make([]endpoint.Log, 0, len(names))
	for _, name := range names {
		key, err := logservice.ParseKey(name)
		if err != nil {
			return err
		}
		l, err := a.Log(key)
		if err != nil {
			return err
		}
		several = append(several, l)
	}
	return d.api.CloseAll(c, several)
}

// Info serves GET /stream/info: the caller's account.
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

// InfoAll serves GET /info/stream: all accounts.
func (d *Dialect) InfoAll(c *endpoint.Call) error {
	prefix, err := c.Query.Prefix()
	if err != nil {
		return err
	}
	t, err := c.AllAccounts(prefix)
	if err != nil {
		return err
	}
	return d.api.Info(c, t)
}

// Token serves GET /token: the holder of the global token gets one for an
// account.
func (d *Dialect) Token(c *endpoint.Call) error {
	c.UseToken(c.Query.Get(endpoint.HeaderToken))
	a, err := account(c)
	if err != nil {
		return err
	}
	return d.api.Token(c, a)
}

// Upload serves POST /blob.
func (d *Dialect) Upload(c *endpoint.Call) error { return withLog(c, d.api.Upload) }

// Download serves GET /blob.
func (d *Dialect) Download(c *endpoint.Call) error { return withLog(c, d.api.Download) }

// Delete serves DELETE /blob.
func (d *Dialect) Delete(c *endpoint.Call) error { return withLog(c, d.api.Delete) }

// Exists serves GET /blob/exists.
func (d *Dialect) Exists(c *endpoint.Call) error { return withLog(c, d.api.Exists) }

// UploadLink serves POST /blob/link/upload.
func (d *Dialect) UploadLink(c *endpoint.Call) error { return withLog(c, d.api.UploadLink) }

// DownloadLink serves POST /blob/link/download.
func (d *Dialect) DownloadLink(c *endpoint.Call) error { return withLog(c, d.api.DownloadLink) }

// ZipLink serves POST /blob/download. Its clients expect 404 for a missing
// prefix.
func (d *Dialect) ZipLink(c *endpoint.Call) error {
	if _, err := account(c); err != nil {
		return err
	}
	if strings.TrimSuffix(c.Query.Get("prefix"), "/") == "" {
		return endpoint.NotFound("no prefix in query params", "name the logs to download: prefix=<key>")
	}
	return withTree(c, "prefix", d.api.ZipLink)
}

// DeleteUnder serves DELETE /internal/blob.
func (d *Dialect) DeleteUnder(c *endpoint.Call) error {
	return withTree(c, "key", d.api.DeleteUnder)
}
