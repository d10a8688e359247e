package service

import (
	"context"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// job is the work on a closed stream: archiving, then deleting it. At most
// one exists for an identity, and nobody deletes the stream without one.
type job struct {
	ctx    context.Context // ends the wait for the next attempt
	cancel context.CancelFunc

	how    logs.Closing  // set before closed is
	closed chan struct{} // closed once the stream is, durably, or err is set
	err    error         // why the stream could not be closed
	done   chan struct{} // closed when the job is over
	late   chan struct{} // closed when an attempt failed: the job will take longer

	// deleting means that the stream may be deleted, and another one may exist
	// under its identity. Guarded by jobs.mu.
	deleting bool
	failing  bool // its last attempt failed; guarded by jobs.mu
	isLate   bool // late is closed; guarded by jobs.mu

	// Used only by the job's goroutine.
	stream   logs.Claim // nil: not yet claimed
	archived bool
}

// wait returns when the job or ctx has ended, or when the job's duration has
// become unpredictable.
func (j *job) wait(ctx context.Context) {
	select {
	case <-j.done:
	case <-j.late:
	case <-ctx.Done():
	}
}

// reached waits for c, which a job closes.
func reached(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return &logservice.UnavailableError{Cause: ctx.Err()}
	}
}
