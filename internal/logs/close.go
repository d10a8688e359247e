package logs

import (
	"context"

	logservice "github.com/harness/log-service"
)

// Close ends the stream of id, durably, and then archives and deletes it as
// how says. It answers within 8 s: archiving that takes longer, or that fails
// because the store does, goes on in the background until it succeeds, and
// nil is returned. Closing a stream that is being archived waits for the same
// work (the first close's how stands). Empty logs are archived like others.
// ErrStreamNotFound: there is no such stream.
func (s *Service) Close(ctx context.Context, id logservice.ID, how Archiving) error {
	return logservice.ErrUnsupported
}

// CloseUnder closes every stream of account at and below prefix (whole
// segments), like Close, in 8 s altogether. None at all is no error. Where
// not every stream could be closed in time it returns ErrUnavailable; asking
// again goes on.
func (s *Service) CloseUnder(ctx context.Context, account string, prefix logservice.Key, how Archiving) error {
	return logservice.ErrUnsupported
}

// CloseAll closes the streams of ids, like CloseUnder. Those that do not
// exist are passed over, so that a repeated call succeeds.
func (s *Service) CloseAll(ctx context.Context, ids []logservice.ID, how Archiving) error {
	return logservice.ErrUnsupported
}
