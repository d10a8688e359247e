package service

import (
	"bytes"
	"context"
	"errors"
	"io"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// FirstLine is the first line of the log of id, live or archived, without its
// line break. ErrStreamNotFound: there is no such log, or it has no line yet.
func (s *Service) FirstLine(ctx context.Context, id logservice.ID) ([]byte, error) {
	c, _, err := s.follow(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	batches, err := c.Next(ctx)
	if len(batches) == 0 {
		if err == nil || errors.Is(err, io.EOF) {
			err = logservice.ErrStreamNotFound
		}
		return nil, err
	}
	line, _, _ := bytes.Cut(batches[0].Data, []byte("\n"))
	return line, nil
}

// Finish ends the log of id for a client that, when it is done, sends the
// whole log once more: count lines of JSON in data. Such a client may send
// less than it had streamed, as those have a limit, and more, where a batch
// had failed; what has more lines is kept, data where both have as many.
// Repeating it changes nothing.
func (s *Service) Finish(ctx context.Context, id logservice.ID, data []byte, count int64) error {
	streamed, err := s.length(ctx, id)
	if err != nil {
		return err
	}
	if streamed > count {
		return s.closeIfOpen(ctx, id, logs.ArchiveAlways)
	}
	if longer, err := s.keepsMore(ctx, id, count); err != nil || longer {
		return errors.Join(err, s.closeIfOpen(ctx, id, logs.ArchiveIfMissing))
	}
	if err := s.PutBlob(ctx, id, bytes.NewReader(data), false); err != nil {
		return err
	}
	return s.closeIfOpen(ctx, id, logs.ArchiveIfMissing)
}

// length is how many lines the stream of id has that is open or waits to be
// archived; zero where there is none.
func (s *Service) length(ctx context.Context, id logservice.ID) (int64, error) {
	info, err := s.streams.Stat(ctx, id)
	if errors.Is(err, logservice.ErrStreamNotFound) || info.Closed && !info.Pending() {
		return 0, nil
	}
	return info.Lines, err
}

// keepsMore tells whether what is stored under id is an archive of more than
// count lines, or count is none and there is anything.
func (s *Service) keepsMore(ctx context.Context, id logservice.ID, count int64) (bool, error) {
	old, err := s.openStored(ctx, id)
	if errors.Is(err, logservice.ErrBlobNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer old.Close()
	return count == 0 || old.Archive && old.Lines > count, nil
}

func (s *Service) closeIfOpen(ctx context.Context, id logservice.ID, how logs.Archiving) error {
	err := s.Close(ctx, id, how)
	if errors.Is(err, logservice.ErrStreamNotFound) {
		return nil
	}
	return err
}
