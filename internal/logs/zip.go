package logs

import (
	"context"
	"io"

	logservice "github.com/harness/log-service"
)

// Zip writes a zip file of every stored log of account at and below prefix
// to w, as JSON lines or a client's own bytes, each named for its key with
// ".log" behind it; names are safe to unpack anywhere. ErrBlobNotFound (none)
// and ErrTooLarge (too many) come before anything is written; an error after
// that leaves a broken file, which the caller must not end as if it were whole.
func (s *Service) Zip(ctx context.Context, account string, prefix logservice.Key, w io.Writer) error {
	return logservice.ErrUnsupported
}
