// Package drone implements the protocol with which Drone runners send the logs
// of steps: batches while a step runs, and the whole log when it ends. The log
// has the key drone/step/{id}, with the step's number, in the token's account.
package drone

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/harness/log-service/internal/logs"

	lru "github.com/hashicorp/golang-lru/v2"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api/http/endpoint"
)

// Step returns the log of the step in the path.
func Step(c *endpoint.Call) (endpoint.Log, error) {
	c.UseToken(c.Request.Header.Get("X-Drone-Token"))
	a, err := c.Own()
	if err != nil {
		return endpoint.Log{}, err
	}
	key, err := c.Key("drone/step/{id}")
	if err != nil {
		return endpoint.Log{}, err
	}
	return a.Log(key)
}

// maxSteps bounds the steps whose start is remembered; that of others is read
// from their log.
const maxSteps = 10_000

// Steps receives the logs of runners whose lines have the seconds since the
// step began, and who neither open nor close logs.
type Steps struct {
	api   *endpoint.API
	began *lru.Cache[endpoint.Log, time.Time]
}

// New returns the Steps of api.
func New(api *endpoint.API) *Steps {
	began, err := lru.New[endpoint.Log, time.Time](maxSteps)
	if err != nil {
		panic(err) // only for a size below 1
	}
	return &Steps{api, began}
}

// Batch appends the lines of the body.
func (s *Steps) Batch(c *endpoint.Call, l endpoint.Log) error { return s.take(c, l, s.api.Record) }

// Upload stores the whole log of a step at its end.
func (s *Steps) Upload(c *endpoint.Call, l endpoint.Log) error { return s.take(c, l, s.api.Finish) }

// take stores the lines of a body with absolute times. Runners accept only 200
// as success.
func (s *Steps) take(c *endpoint.Call, l endpoint.Log, store func(context.Context, endpoint.Log, logs.Lines) error) error {
	body, err := s.api.Lines(c, l)
	if err != nil {
		return err
	}
	defer body.Release()
	ctx := c.Request.Context()
	// Times become longer, and that memory counts as well.
	if err := body.Hold(ctx, 2*int64(len(body.Data))); err != nil {
		return err
	}
	began, err := s.beginning(ctx, l, body.Data)
	if err != nil {
		return err
	}
	batch := body.Lines
	if batch.Data, batch.Count = absolute(batch.Data, began); batch.Count == 0 {
		batch = logs.Lines{}
	}
	if err := store(ctx, l, batch); err != nil {
		return err
	}
	c.WriteHeader(http.StatusOK)
	return nil
}

// beginning returns when a step began, which only its first batch reveals: that
// arrived right after its last line. From then on it does not change, so that a
// retry has the same bytes. The log contains it, for servers that do not
// remember it.
func (s *Steps) beginning(ctx context.Context, l endpoint.Log, data []byte) (time.Time, error) {
	if t, ok := s.began.Get(l); ok {
		return t, nil
	}
	t := time.Now().Add(-elapsed(data)).Truncate(time.Millisecond)
	first, err := s.api.FirstLine(ctx, l)
	switch {
	case err == nil:
		if known, ok := beginning(first); ok {
			t = known
		}
	case !errors.Is(err, logservice.ErrStreamNotFound):
		return time.Time{}, err
	}
	if len(data) > 0 {
		s.began.Add(l, t)
	}
	return t, nil
}
