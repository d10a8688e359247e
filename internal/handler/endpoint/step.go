package endpoint

import (
	"context"
	"errors"
	"net/http"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/lines"
	"github.com/harness/log-service/internal/logs"
)

// maxSteps bounds the steps of which it is remembered when they began; it can
// be read from the log of any other.
const maxSteps = 10_000

// steps are the logs of runners whose lines count the seconds since a step
// began, and who neither open nor close.
type steps struct {
	began *lru.Cache[logservice.ID, time.Time]
}

func newSteps() steps {
	cache, err := lru.New[logservice.ID, time.Time](maxSteps)
	if err != nil {
		panic(err) // of a size below 1 alone
	}
	return steps{cache}
}

// StepBatch appends the body, a JSON array of lines, and opens the stream
// where it is not open. Such runners take 200 for done, and nothing else.
func (a *API) StepBatch(c *Call, l Log) error {
	b, batch, err := a.stepLines(c, l.id)
	if err != nil {
		return err
	}
	defer b.release()
	ctx := c.Request.Context()
	began, err := a.began(ctx, l.id, batch.Data)
	if err != nil {
		return err
	}
	err = a.appendStep(ctx, l.id, batch, began)
	if errors.Is(err, logservice.ErrStreamNotFound) {
		if err = a.service.Open(ctx, l.id, logs.OpenOptions{}); err == nil {
			err = a.appendStep(ctx, l.id, batch, began)
		}
	}
	if err != nil {
		return err
	}
	c.WriteHeader(http.StatusOK)
	return nil
}

// StepUpload takes the whole log of a step at its end; see logs.Finish.
func (a *API) StepUpload(c *Call, l Log) error {
	b, batch, err := a.stepLines(c, l.id)
	if err != nil {
		return err
	}
	defer b.release()
	ctx := c.Request.Context()
	began, err := a.began(ctx, l.id, batch.Data)
	if err != nil {
		return err
	}
	if err := a.service.Finish(ctx, l.id, lines.Since(batch.Data, began), batch.Count); err != nil {
		return err
	}
	c.WriteHeader(http.StatusOK)
	return nil
}

// stepLines reads a body; times become longer, and that memory counts, too.
func (a *API) stepLines(c *Call, id logservice.ID) (body, lines.Batch, error) {
	b, err := a.bodies.read(c, id.Account)
	if err != nil {
		return b, lines.Batch{}, err
	}
	batch, err := lines.Array(b.data, a.maxLine)
	if err == nil {
		err = b.hold(c.Request.Context(), 2*int64(len(batch.Data)))
	}
	if err != nil {
		b.release()
	}
	return b, batch, err
}

func (a *API) appendStep(ctx context.Context, id logservice.ID, batch lines.Batch, began time.Time) error {
	_, err := a.service.Append(ctx, id, logs.Lines{
		Data: lines.Since(batch.Data, began), Count: batch.Count, Dedupe: batch.Marked,
	})
	return err
}

// began is when a step began. Only its first batch can tell: that came right
// behind its last line. From then on it is fixed, so that a retry is the same
// bytes; the log itself keeps it, for when this server does not know.
func (a *API) began(ctx context.Context, id logservice.ID, data []byte) (time.Time, error) {
	if t, ok := a.steps.began.Get(id); ok {
		return t, nil
	}
	t := time.Now().Add(-lines.Elapsed(data)).Truncate(time.Millisecond)
	first, err := a.service.FirstLine(ctx, id)
	switch {
	case err == nil:
		if known, ok := lines.Began(first); ok {
			t = known
		}
	case !errors.Is(err, logservice.ErrStreamNotFound):
		return time.Time{}, err
	}
	if len(data) > 0 {
		a.steps.began.Add(id, t)
	}
	return t, nil
}
