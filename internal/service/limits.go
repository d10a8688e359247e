package service

import logservice "github.com/harness/log-service"

// Limits bound what one account may take of what all share. Zero is no limit.
// What lies beyond is refused with logservice.ErrLimit, which is
// ErrUnavailable: clients drop a log for less. Lines that were acknowledged
// are archived past every limit.
type Limits struct {
	// Streams is how many streams may be open. It is kept about: what several
	// nodes, or retries, open at the same moment is seen at the next count.
	Streams int64
	// Tails is how many readers may follow logs of the account at a time, on
	// this node.
	Tails int64
	// Rate is how many bytes of JSON may be appended a second, on this node;
	// Burst how many at once after a pause, and no less than Rate.
	Rate, Burst int64
	// Stored is how many bytes live and stored logs may have together, about:
	// the store is asked every few minutes, and counted from then on. Past it
	// nothing is opened, appended or uploaded.
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
