// Package drone speaks the protocol by which Drone runners send the logs of
// steps: batches while a step runs, and the whole log when it ends. The log is
// named by the step's number, under the key drone/step/{id}, in the account
// that the token is for.
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

// Step is the log of the step in the path.
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

// maxSteps bounds the steps of which it is remembered when they began; it can
// be read from the log of any other.
const maxSteps = 10_000

// Steps takes the logs of runners whose lines count the seconds since a step
// began, and who neither open nor close.
type Steps struct {
	api   *endpoint.API
	began *lru.Cache[endpoint.Log, time.Time]
}

// New returns the Steps of api.
func New(api *endpoint.API) *Steps {
	began, err := lru.New[endpoint.Log, time.Time](maxSteps)
	if err != nil {
		panic(err) // of a size below 1 alone
	}
	return &Steps{api, began}
}

// Batch appends the lines of the body.
func (s *Steps) Batch(c *endpoint.Call, l endpoint.Log) error { return s.take(c, l, s.api.Record) }

// Upload takes the whole log of a step at its end.
func (s *Steps) Upload(c *endpoint.Call, l endpoint.Log) error { return s.take(c, l, s.api.Finish) }

// take stores the lines of a body with real times. Runners take 200 for done,
// and nothing else.
func (s *Steps) take(c *endpoint.Call, l endpoint.Log, store func(context.Context, endpoint.Log, logs.Lines) error) error {
	body, err := s.api.Lines(c, l)
	if err != nil {
		return err
	}
	defer body.Release()
	ctx := c.Request.Context()
	// Times become longer, and that memory counts, too.
	if err := body.Hold(ctx, 2*int64(len(body.Data))); err != nil {
		return err
	}
	began, err := s.beginning(ctx, l, body.Data)
	if err != nil {
		return err
	}
	batch := body.Lines
	batch.Data = absolute(batch.Data, began)
	if err := store(ctx, l, batch); err != nil {
		return err
	}
	c.WriteHeader(http.StatusOK)
	return nil
}

// beginning is when a step began. Only its first batch can tell: that came
// right after its last line. From then on it is fixed, so that a retry is the
// same bytes; the log itself keeps it, for when this server does not know.
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
