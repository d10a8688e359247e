package s3

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	logservice "github.com/harness/log-service"
)

// fault converts an error of the client to one of package logservice: the error
// of the caller's context, ErrBlobNotFound, or ErrUnavailable for everything
// that a later request may not meet. Causes are kept as text only: an end of
// input on the connection to the store must not pass as the end of a blob.
func (s *Store) fault(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if known := (*logservice.UnavailableError)(nil); errors.As(err, &known) {
		return err
	}
	switch r := minio.ToErrorResponse(err); {
	case r.Code == minio.NoSuchKey:
		return logservice.ErrBlobNotFound
	case r.StatusCode == http.StatusPreconditionFailed:
		return &logservice.UnavailableError{Cause: errors.New("the log was replaced while it was read"), RetryAfter: time.Second}
	}
	return &logservice.UnavailableError{Cause: fmt.Errorf("object store: %s: %v", op, err), RetryAfter: retryAfter}
}
