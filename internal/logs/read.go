package logs

import (
	"context"

	logservice "github.com/harness/log-service"
)

// Follow returns a cursor behind the line after (0: at the start) of the log
// of id, whatever its age, and where the cursor reads: from the live stream
// (logservice.StateLive; a closed one that is not archived yet counts), or
// from what is stored (logservice.StateArchived), whose cursor is always
// ready and ends in io.EOF. Sequences are the same in both. The lines of a
// blob that a client uploaded count from 1; those that are no JSON object
// come as a line with that text. ErrStreamNotFound: neither exists.
//
// The cursor is used by one goroutine, with contexts that live as long as
// ctx or longer, and must be closed.
func (s *Service) Follow(ctx context.Context, id logservice.ID, after int64) (c Cursor, state string, err error) {
	return nil, logservice.StateUnknown, logservice.ErrUnsupported
}
