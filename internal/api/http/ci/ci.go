// Package ci finds the log of a request by the step of a build:
// /ci/{project}/{build}/{stage}/{step}. It is the dialect of the original
// command line, and an example of how to add one.
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

// Log returns the log of the step in the path.
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

// Listing returns the part of the account that the caller may see, below the
// parameter prefix if it is given.
func Listing(c *endpoint.Call) (endpoint.Tree, error) {
	a, err := account(c)
	if err != nil {
		return endpoint.Tree{}, err
	}
	return a.Listing(c.Query.Get("prefix"))
}
