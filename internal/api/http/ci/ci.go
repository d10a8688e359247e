// Package ci finds the log of a request by the place of a step in a build:
// /ci/{project}/{build}/{stage}/{step}. It is the dialect of the command
// line's first release, and the example of how to add one.
package ci

import (
	"cmp"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api/http/endpoint"
)

// account is the parameter accountID, by default the account of servers
// without authentication.
func account(c *endpoint.Call) (endpoint.Account, error) {
	return c.Account(cmp.Or(c.Query.Get("accountID"), logservice.DefaultAccount))
}

// Log is the log of the step in the path.
func Log(c *endpoint.Call) (endpoint.Log, error) {
	a, err := account(c)
	if err != nil {
		return endpoint.Log{}, err
	}
	key, err := c.Key("{project}/{build}/{stage}/{step}")
	if err != nil {
		return endpoint.Log{}, err
	}
	return a.Log(key)
}

// Listing is what the caller may see of its account, below the parameter
// prefix where that is given.
func Listing(c *endpoint.Call) (endpoint.Tree, error) {
	a, err := account(c)
	if err != nil {
		return endpoint.Tree{}, err
	}
	return a.Listing(c.Query.Get("prefix"))
}
