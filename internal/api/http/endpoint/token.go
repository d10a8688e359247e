package endpoint

import (
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/duration"
)

// defaultExchangeTTL is the default lifetime of an exchanged token.
const defaultExchangeTTL = time.Hour

// Token answers with a token for everything in an account, as bare text, which
// its clients expect.
func (a *API) Token(c *Call, account Account) error {
	token, err := a.auth.AccountToken(account.Name())
	if err != nil {
		return err
	}
	c.Header().Set("Cache-Control", "no-store")
	return c.Text(token)
}

// Exchange answers with a token of the same scope as the caller's identity
// token, valid for an hour or as long as expires says, as bare text.
func (a *API) Exchange(c *Call) error {
	if _, err := c.Own(); err != nil {
		return err
	}
	ttl := defaultExchangeTTL
	if s := c.Query.Get("expires"); s != "" {
		var err error
		if ttl, err = duration.Parse(s); err != nil {
			return logservice.Invalidf("expires is %q: use a duration such as 6h", s)
		}
	}
	token, err := a.auth.Exchange(c.caller.Grant(), ttl)
	if err != nil {
		return err
	}
	c.Header().Set("Cache-Control", "no-store")
	return c.Text(token)
}
