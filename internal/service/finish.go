package service

import (
	"bytes"
	"context"
	"errors"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Finish ends the log of id for a client that, when it is done, sends the
// whole log once more: count lines of JSON in data. Such a client may send
// less than it had streamed, as those have a limit, and more, where a batch
// had failed; what has more lines is kept, data where both have as many.
// Repeating it changes nothing.
func (b *blobs) Finish(ctx context.Context, id logservice.ID, data []byte, count int64) error {
	streamed, err := b.length(ctx, id)
	if err != nil {
		return err
	}
	if streamed > count {
		return b.closeIfOpen(ctx, id, logs.ArchiveAlways)
	}
	if longer, err := b.keepsMore(ctx, id, count); err != nil || longer {
		return errors.Join(err, b.closeIfOpen(ctx, id, logs.ArchiveIfMissing))
	}
	if err := b.PutBlob(ctx, id, bytes.NewReader(data), false); err != nil {
		return err
	}
	return b.closeIfOpen(ctx, id, logs.ArchiveIfMissing)
}

// length is how many lines the stream of id has that is open or waits to be
// archived; zero where there is none.
func (b *blobs) length(ctx context.Context, id logservice.ID) (int64, error) {
	info, err := b.streams.Stat(ctx, id)
	if errors.Is(err, logservice.ErrStreamNotFound) || info.Closed && !info.Pending() {
		return 0, nil
	}
	return info.Lines, err
}

// keepsMore reports whether what is stored under id is an archive of more than
// count lines, or count is zero and anything is stored.
func (b *blobs) keepsMore(ctx context.Context, id logservice.ID, count int64) (bool, error) {
	old, err := b.stored.open(ctx, id)
	if errors.Is(err, logservice.ErrBlobNotFound) || isDamage(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer old.Close()
	return count == 0 || old.Archive && old.Lines > count, nil
}

func (b *blobs) closeIfOpen(ctx context.Context, id logservice.ID, how logs.Archiving) error {
	err := b.closer.Close(ctx, id, how)
	if errors.Is(err, logservice.ErrStreamNotFound) {
		return nil
	}
	return err
}
