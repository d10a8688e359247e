// Package harness finds the log of a request by the query parameters accountID
// and key, as the runners, the delegate and the user interface of Harness do.
package harness

import (
	"strings"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api/access"
	"github.com/harness/log-service/internal/api/http/endpoint"
)

// Account returns the account of a call. It is checked first: clients know the
// message for its absence.
func Account(c *endpoint.Call) (endpoint.Account, error) {
	a := c.Query.Get("accountID")
	if a == "" {
		return endpoint.Account{}, logservice.Invalidf("no account ID in query params")
	}
	return c.Account(a)
}

// TokenAccount returns the account of a token to be issued. Here the caller's
// own token may be in the query.
func TokenAccount(c *endpoint.Call) (endpoint.Account, error) {
	c.UseToken(c.Query.Get(access.HeaderToken))
	return Account(c)
}

// Log returns the log of the parameter key.
func Log(c *endpoint.Call) (endpoint.Log, error) {
	a, err := Account(c)
	if err != nil {
		return endpoint.Log{}, err
	}
	return a.Log(c.Query.Get("key"))
}

// TicketLog is Log for a caller with a token or a ticket.
func TicketLog(c *endpoint.Call) (endpoint.Log, error) {
	if ticket := c.Query.Get("ticket"); ticket != "" {
		return c.Ticketed(c.Query.Get("accountID"), c.Query.Get("key"), ticket)
	}
	return Log(c)
}

// Logs returns the logs of keyList, separated by commas, and that of key if it
// is given.
func Logs(c *endpoint.Call) ([]endpoint.Log, error) {
	a, err := Account(c)
	if err != nil {
		return nil, err
	}
	keys := strings.Split(c.Query.Get("keyList"), ",")
	if key := c.Query.Get("key"); key != "" {
		keys = append(keys, key)
	}
	several := make([]endpoint.Log, len(keys))
	for i, key := range keys {
		if several[i], err = a.Log(key); err != nil {
			return nil, err
		}
	}
	return several, nil
}

// Tree returns every log at and below key. Some callers end it with a
// separator.
func Tree(c *endpoint.Call) (endpoint.Tree, error) {
	a, err := Account(c)
	if err != nil {
		return endpoint.Tree{}, err
	}
	return a.Tree(strings.TrimSuffix(c.Query.Get("key"), "/"))
}

// ZipTree returns every log at and below the parameter prefix. Clients expect
// 404 if it is missing.
func ZipTree(c *endpoint.Call) (endpoint.Tree, error) {
	a, err := Account(c)
	if err != nil {
		return endpoint.Tree{}, err
	}
	prefix := strings.TrimSuffix(c.Query.Get("prefix"), "/")
	if prefix == "" {
		return endpoint.Tree{}, endpoint.NotFound("no prefix in query params", "name the logs to download: prefix=<key>")
	}
	return a.Tree(prefix)
}

// Listing returns the part of the account that the caller may see, below prefix
// if it is given.
func Listing(c *endpoint.Call) (endpoint.Tree, error) {
	a, err := Account(c)
	if err != nil {
		return endpoint.Tree{}, err
	}
	return a.Listing(c.Query.Get("prefix"))
}

// AllAccounts is Listing for every account at once.
func AllAccounts(c *endpoint.Call) (endpoint.Tree, error) {
	return c.AllAccounts(c.Query.Get("prefix"))
}

// Close closes one stream, all at and below key (prefix=true), or those of
// keyList.
func Close(api *endpoint.API) endpoint.Func {
	one, under, several := endpoint.On(Log, api.Close), endpoint.On(Tree, api.CloseUnder), endpoint.On(Logs, api.CloseAll)
	return func(c *endpoint.Call) error {
		if c.Query.Get("keyList") != "" {
			return several(c)
		}
		prefix, _, err := c.Query.Bool("prefix")
		switch {
		case err != nil:
			return err
		case prefix:
			return under(c)
		}
		return one(c)
	}
}
