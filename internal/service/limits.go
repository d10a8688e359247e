package service

import logservice "github.com/harness/log-service"

// Limits bound one account's use of shared resources. Zero means no limit.
// Requests over a limit fail with logservice.ErrLimit, which is ErrUnavailable,
// because clients drop a log after other errors. Acknowledged lines are
// archived whatever the limits.
type Limits struct {
	// Streams is how many streams may be open. The limit is approximate:
	// streams that several nodes open at the same moment are seen at the next
	// count.
	Streams int64
	// Tails is how many readers may follow logs of the account at a time, on
	// this node.
	Tails int64
	// Rate is how many bytes of JSON may be appended per second on this node;
	// Burst is how many at once after a pause, at least Rate.
	Rate, Burst int64
	// Stored is approximately how many bytes live and stored logs may have
	// together: the store is measured every few minutes, and changes are
	// counted in between. At the limit nothing is opened, appended or uploaded.
	Stored int64
}

// The limits as metrics name them.
const (
	limitStreams = "streams"
	limitTails   = "tails"
	limitRate    = "rate"
	limitStored  = "stored"
)

// limitError reads as the limit that was reached, and no more.
type limitError struct{ *logservice.UnavailableError }

func (e *limitError) Unwrap() error { return e.UnavailableError }
func (e *limitError) Error() string { return e.Cause.Error() }
