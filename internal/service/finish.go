package service

import (
	"bytes"
	"context"
	"errors"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Finish ends the log of id for a client that finally sends the whole log
// again, or what its limit left of it: JSON lines in data. Repeating it changes
// nothing.
func (b *blobs) Finish(ctx context.Context, id logservice.ID, data []byte) error {
	err := b.PutBlob(ctx, id, bytes.NewReader(data), false)
	if err != nil && (len(data) > 0 || !errors.Is(err, logservice.ErrConflict)) {
		return err
	}
	err = b.closer.Close(ctx, id, logs.ArchiveIfMissing)
	if errors.Is(err, logservice.ErrStreamNotFound) {
		return nil
	}
	return err
}

// AddLate stores lines of a log that has ended, from a client that opens none:
// a batch that was in flight when the log was closed. ErrBlobNotFound: no log
// has ended, so the lines belong to a new one.
func (b *blobs) AddLate(ctx context.Context, id logservice.ID, data []byte) error {
	newest, err := b.stored.newest(ctx, id)
	if err == nil && newest == 0 {
		err = logservice.ErrBlobNotFound
	}
	if err != nil {
		return err
	}
	if err := b.quota.mayStore(id.Account); err != nil {
		return err
	}
	unlock, err := b.locks.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := b.stored.open(ctx, id, 0)
	if err != nil {
		return err
	}
	defer old.Close()
	return b.joinStored(ctx, id, old, b.quota.counted(id.Account, bytes.NewReader(data)))
}
