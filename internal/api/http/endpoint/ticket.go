package endpoint

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api/access"
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
	t, err := a.service.SignLink(service.LinkTail, l.ID(), TicketTTL)
	if err != nil {
		return err
	}
	c.Header().Set("Cache-Control", "no-store")
	return c.json(http.StatusOK, ticketAnswer{Ticket: strconv.FormatInt(t.Expires, 10) + "." + t.Signature, Expires: TicketTTL})
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
	expires, signature, _ := strings.Cut(ticket, ".")
	until, err := strconv.ParseInt(expires, 10, 64)
	var l Log
	if err == nil {
		l, err = access.Linked(c.api.service, service.Link{Kind: service.LinkTail, ID: id, Expires: until, Signature: signature})
	}
	if err != nil {
		return Log{}, &statusError{status: http.StatusForbidden, reason: "forbidden",
			msg: "operation not permitted for accountID: " + account, hint: "the ticket is not one for this log, or is past its time: get a new one",
			cause: logservice.ErrForbidden}
	}
	return l, nil
}
