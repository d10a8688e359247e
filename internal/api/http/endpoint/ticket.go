package endpoint

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api/access"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/service"
)

// TicketTTL is how long a ticket is valid: browsers connect at once, and URLs
// end up in histories and proxy logs.
const TicketTTL = time.Minute

type ticketAnswer struct {
	Ticket  string        `json:"ticket"`
	Expires time.Duration `json:"expires"` // nanoseconds
}

// Ticket answers with a ticket to follow l: the EventSource of browsers cannot
// send headers, and a token in a URL would grant more, for longer.
func (a *API) Ticket(c *Call, l Log) error {
	t, err := a.service.SignLink(service.LinkTail, l.ID(), TicketTTL, c.caller.Grant().IDs())
	if err != nil {
		return err
	}
	c.Header().Set("Cache-Control", "no-store")
	ticket := strconv.FormatInt(t.Expires, 10) + "." + t.Signature
	if t.By != "" {
		ticket += "." + base64.RawURLEncoding.EncodeToString([]byte(t.By))
	}
	return c.json(http.StatusOK, ticketAnswer{Ticket: ticket, Expires: TicketTTL})
}

// Ticketed returns the log of a key in an account if ticket permits following
// it.
func (c *Call) Ticketed(account, key, ticket string) (Log, error) {
	id, err := logservice.ParseID(account, key)
	if err != nil {
		return Log{}, err
	}
	c.account = account
	c.note(key)
	l, err := c.redeem(id, ticket)
	if err != nil {
		return Log{}, &statusError{status: http.StatusForbidden, reason: "forbidden",
			msg: "operation not permitted for accountID: " + account, hint: "the ticket is not one for this log, or is past its time: get a new one",
			cause: logservice.ErrForbidden}
	}
	return l, nil
}

// redeem verifies a ticket, and that the token that it was made with is not
// revoked.
func (c *Call) redeem(id logservice.ID, ticket string) (Log, error) {
	expires, rest, _ := strings.Cut(ticket, ".")
	signature, made, _ := strings.Cut(rest, ".")
	until, err := strconv.ParseInt(expires, 10, 64)
	if err != nil {
		return Log{}, err
	}
	by, err := base64.RawURLEncoding.DecodeString(made)
	if err != nil {
		return Log{}, err
	}
	l, err := access.Linked(c.api.service, service.Link{Kind: service.LinkTail, ID: id, Expires: until, By: string(by), Signature: signature})
	if err != nil {
		return Log{}, err
	}
	grant := auth.GrantOf(string(by))
	c.ticket = &grant
	if c.api.auth.Revoked(grant) {
		return Log{}, auth.ErrRevoked
	}
	return l, nil
}
