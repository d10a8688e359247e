package endpoint

import (
	"net/http"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Open opens the stream of id for timeout_seconds after its last activity.
// An open one is kept, unless truncate=true.
func (a *API) Open(c *Call, id logservice.ID) error {
	ttl, err := c.Query.Seconds("timeout_seconds")
	if err != nil {
		return err
	}
	truncate, _, err := c.Query.Bool("truncate")
	if err != nil {
		return err
	}
	if ttl == 0 {
		ttl = logservice.DefaultTTL
	}
	o := logs.OpenOptions{TTL: min(ttl, logservice.MaxTTL), Truncate: truncate}
	if err := a.service.Open(c.Request.Context(), id, o); err != nil {
		return err
	}
	return c.NoContent()
}

// Close ends the stream of id.
func (a *API) Close(c *Call, id logservice.ID) error {
	how, err := archiving(c)
	if err != nil {
		return err
	}
	if err := a.service.Close(c.Request.Context(), id, how); err != nil {
		return err
	}
	return c.NoContent()
}

// CloseUnder ends the streams of account at and below prefix.
func (a *API) CloseUnder(c *Call, account string, prefix logservice.Key) error {
	how, err := archiving(c)
	if err != nil {
		return err
	}
	if err := a.service.CloseUnder(c.Request.Context(), account, prefix, how); err != nil {
		return err
	}
	return c.NoContent()
}

// CloseAll ends the streams of ids; those that are not open do not matter.
func (a *API) CloseAll(c *Call, ids []logservice.ID) error {
	how, err := archiving(c)
	if err != nil {
		return err
	}
	if err := a.service.CloseAll(c.Request.Context(), ids, how); err != nil {
		return err
	}
	return c.NoContent()
}

func archiving(c *Call) (logs.Archiving, error) {
	snapshot, given, err := c.Query.Bool("snapshot")
	switch {
	case err != nil:
		return 0, err
	case !given:
		return logs.ArchiveIfMissing, nil
	case snapshot:
		return logs.ArchiveAlways, nil
	}
	return logs.ArchiveNever, nil
}

type streamInfo struct {
	Size        int64  `json:"size"`
	Bytes       int64  `json:"bytes"`
	Subscribers int    `json:"subscribers"`
	TTL         string `json:"ttl"`
}

// Info describes the open streams of account, of all accounts where it is
// empty: then each key has its account and a / before it. The parameter
// prefix selects those at and below a key.
func (a *API) Info(c *Call, account string) error {
	filter := logs.Filter{Account: account}
	if p := c.Query.Get("prefix"); p != "" {
		prefix, err := logservice.ParseKey(p)
		if err != nil {
			return err
		}
		filter.Prefix = prefix
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
		if account == "" {
			name = s.ID.Account + "/" + name // injective: an account holds no /
		}
		streams[name] = streamInfo{
			Size: s.Lines, Bytes: s.Bytes, Subscribers: s.Subscribers,
			TTL: max(s.TTL, 0).Truncate(time.Second).String(),
		}
	}
	return c.json(http.StatusOK, map[string]any{"streams": streams})
}
