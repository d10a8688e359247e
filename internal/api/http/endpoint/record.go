package endpoint

import (
	"context"
	"errors"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/lines"
	"github.com/harness/log-service/internal/logs"
)

// Lines are the lines of a body, for a dialect that changes them before they
// are stored. They count against the budget until Release.
type Lines struct {
	logs.Lines
	body body
}

// Lines reads the body of c, a JSON array whose lines the only writer of the log
// counts; see lines.Counted.
func (a *API) Lines(c *Call, l Log) (*Lines, error) {
	b, err := a.bodies.read(c, l.ID().Account)
	if err != nil {
		return nil, err
	}
	batch, err := lines.Counted(b.data, a.maxLine)
	if err != nil {
		b.release()
		return nil, err
	}
	return &Lines{batch, b}, nil
}

// Hold reserves n more bytes of the budget, with a short wait.
func (l *Lines) Hold(ctx context.Context, n int64) error { return l.body.hold(ctx, n) }

// Release releases all memory. Nothing may refer to the lines any more.
func (l *Lines) Release() { l.body.release() }

// Record appends to the stream of l, for clients that never open one: it opens
// it or, if the log has ended, adds the lines to what is stored.
func (a *API) Record(ctx context.Context, l Log, b logs.Lines) error {
	_, err := a.service.Append(ctx, l.ID(), b)
	if errors.Is(err, logservice.ErrStreamNotFound) {
		err = a.service.AddLate(ctx, l.ID(), b.Data)
	}
	if errors.Is(err, logservice.ErrBlobNotFound) {
		if err = a.service.Open(ctx, l.ID(), logs.OpenOptions{}); err == nil {
			_, err = a.service.Append(ctx, l.ID(), b)
		}
	}
	return err
}

// Finish ends the log of l, of which b is all: see service.Service.Finish.
func (a *API) Finish(ctx context.Context, l Log, b logs.Lines) error {
	return a.service.Finish(ctx, l.ID(), b.Data)
}

// FirstLine returns the first line of the log of l; see
// service.Service.FirstLine.
func (a *API) FirstLine(ctx context.Context, l Log) ([]byte, error) {
	return a.service.FirstLine(ctx, l.ID())
}
