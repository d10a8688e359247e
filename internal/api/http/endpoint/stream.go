package endpoint

import (
	"io"
	"net/http"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Open opens the stream of id for timeout_seconds after its last activity.
// An open one is kept, unless truncate=true.
func (a *API) Open(c *Call, l Log) error {
	if err := a.noLines(c); err != nil {
		return err
	}
	ttl, err := c.Query.Seconds("timeout_seconds")
	if err != nil {
		return err
	}
	truncate, _, err := c.Query.Bool("truncate")
	if err != nil {
		return err
	}
	o, err := c.caller.Opening(l, ttl, truncate)
	if err != nil {
		return c.refused(l.ID().Account, err)
	}
	if err := a.service.Open(c.Request.Context(), l.ID(), o); err != nil {
		return err
	}
	return c.NoContent()
}

// maxEmpty is how much of a body is read to see that it has no lines.
const maxEmpty = 512

// noLines refuses a body with content. Clients that post lines to an open would
// otherwise never notice that nothing of them is stored.
func (a *API) noLines(c *Call) error {
	if c.Request.ContentLength == 0 {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(&steady{r: c.Request.Body, rc: http.NewResponseController(c.ResponseWriter), stall: a.stall}, maxEmpty))
	if err != nil {
		return err
	}
	c.took = len(body) < maxEmpty
	switch strings.TrimSpace(string(body)) {
	case "", "null", "[]", "{}", `""`:
		if c.took {
			return nil
		}
	}
	return &statusError{status: http.StatusBadRequest, reason: "invalid",
		msg:  "POST /stream opens a log and takes no lines: use PUT to send them",
		hint: "send the same body to the same address with PUT; options go in the query"}
}

// Close ends the stream of id.
func (a *API) Close(c *Call, l Log) error {
	how, err := archiving(c, l.ID())
	if err != nil {
		return err
	}
	if err := a.service.Close(c.Request.Context(), l.ID(), how); err != nil {
		return err
	}
	return c.NoContent()
}

// CloseUnder ends the streams of t.
func (a *API) CloseUnder(c *Call, t Tree) error {
	how, err := archiving(c, t.ID())
	if err != nil {
		return err
	}
	if err := a.service.CloseUnder(c.Request.Context(), t.ID().Account, t.ID().Key, how); err != nil {
		return err
	}
	return c.NoContent()
}

// CloseAll ends the streams of several logs; those that are not open are
// skipped.
func (a *API) CloseAll(c *Call, several []Log) error {
	ids := make([]logservice.ID, len(several))
	for i, l := range several {
		ids[i] = l.ID()
	}
	how, err := archiving(c, ids...)
	if err != nil {
		return err
	}
	if err := a.service.CloseAll(c.Request.Context(), ids, how); err != nil {
		return err
	}
	return c.NoContent()
}

// archiving returns what a close does with the logs.
func archiving(c *Call, ids ...logservice.ID) (how logs.Archiving, err error) {
	snapshot, given, err := c.Query.Bool("snapshot")
	switch {
	case err != nil || !given:
		return logs.ArchiveIfMissing, err
	case snapshot:
		how = logs.ArchiveAlways
	default:
		how = logs.ArchiveNever
	}
	if err := c.caller.Closing(how, ids...); err != nil {
		return 0, c.refused(ids[0].Account, err)
	}
	return how, nil
}

type streamInfo struct {
	Size        int64 `json:"size"`
	Bytes       int64 `json:"bytes"`
	Subscribers int   `json:"subscribers"`
	// Attempt is which attempt of the log it is, from the second on.
	Attempt int64  `json:"attempt,omitempty"`
	TTL     string `json:"ttl"`
	// Node is the server that writes the log, if there are several.
	Node string `json:"node,omitempty"`
}

// backlog counts the selected streams that are closed but not archived yet.
type backlog struct {
	Waiting int `json:"waiting"`
	Failing int `json:"failing"` // and tried again
}

// Info describes the open streams of t. In listings of all accounts, each key
// is preceded by its account and a /.
func (a *API) Info(c *Call, t Tree) error {
	filter, err := t.Filter()
	if err != nil {
		return err
	}
	list, err := a.service.List(c.Request.Context(), filter)
	if err != nil {
		return err
	}
	streams := make(map[string]streamInfo, len(list))
	for _, s := range list {
		if s.Closed {
			continue
		}
		name := string(s.ID.Key)
		if t.All() {
			name = s.ID.Account + "/" + name // injective: an account has no /
		}
		streams[name] = streamInfo{
			Size: s.Lines, Bytes: s.Bytes, Subscribers: s.Subscribers,
			TTL:  max(s.TTL, 0).Truncate(time.Second).String(),
			Node: s.Node,
		}
		if s.Attempt > 1 {
			info := streams[name]
			info.Attempt = s.Attempt
			streams[name] = info
		}
	}
	answer := map[string]any{"streams": streams}
	if b := a.service.Backlog(list); b.Waiting > 0 {
		answer["archiving"] = backlog{Waiting: b.Waiting, Failing: b.Failing}
	}
	return c.json(http.StatusOK, answer)
}
