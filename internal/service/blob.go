package service

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// emptyGuard is how long a blob is protected from being replaced by nothing:
// clients retry an upload for 2 minutes, and then some.
const emptyGuard = 5 * time.Minute

// blobs are the finished logs: those of the store, and the closed streams that
// wait to be archived, which one call replaces or deletes together.
type blobs struct {
	streams logs.Streams
	store   logs.Store
	stored  *storedLogs
	closer  *closer
	locks   *keyLocks // of the writers of a blob
	quota   *quota
}

// PutBlob stores what r yields as the log of id, byte for byte and whole or
// not at all, replacing what was there: a blob, and a closed stream that waits
// to be archived. With add it is appended to what is there instead (the lines of
// an archive, as JSON lines); what waits to be archived is archived first.
//
// An empty r that would replace a closed stream with lines, or a blob with
// content written in the last minutes, is refused with ErrConflict: it is a
// client's retry with a body that it had already consumed. Writers of one
// identity take the lock of it one after the other; one that waits too long gets ErrUnavailable.
func (b *blobs) PutBlob(ctx context.Context, id logservice.ID, r io.Reader, add bool) error {
	if err := b.quota.mayStore(id.Account); err != nil {
		return err
	}
	body := bufio.NewReaderSize(b.quota.counted(id.Account, r), 64<<10)
	_, err := body.Peek(1) // before the lock: nobody waits for this client
	empty := errors.Is(err, io.EOF)
	if err != nil && !empty {
		return fmt.Errorf("reading the blob: %w", err)
	}
	if add {
		return b.addToBlob(ctx, id, body, empty)
	}
	return b.replacing(ctx, id, func(old logs.Claim) error {
		if empty {
			if err := b.mayBeEmptied(ctx, id, old); err != nil {
				return err
			}
		}
		return b.store.Put(ctx, id, body, logs.BlobInfo{})
	})
}

// mayBeEmptied refuses to replace what looks like the log that the client
// meant to send.
func (b *blobs) mayBeEmptied(ctx context.Context, id logservice.ID, old logs.Claim) error {
	if old != nil {
		info, err := b.streams.Stat(ctx, id)
		if err == nil && info.Pending() && info.Lines > 0 {
			err = logservice.Errorf(logservice.ErrConflict,
				"an empty body would replace the log of %d lines that waits to be archived: delete it first if that is wanted", info.Lines)
		}
		return err
	}
	blob, err := b.store.Get(ctx, id)
	if errors.Is(err, logservice.ErrBlobNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer blob.Close()
	info := blob.Info()
	if age := time.Since(info.Modified); info.Size > 0 && age < emptyGuard {
		return logservice.Errorf(logservice.ErrConflict,
			"an empty body would replace the log of %d bytes that was stored %s ago: delete it first if that is wanted", info.Size, age.Round(time.Second))
	}
	return nil
}

// addToBlob appends body to the log of id.
func (b *blobs) addToBlob(ctx context.Context, id logservice.ID, body io.Reader, empty bool) error {
	if err := b.closer.awaitArchived(ctx, id); err != nil {
		return err
	}
	return b.replacing(ctx, id, func(waiting logs.Claim) error {
		if waiting != nil && waiting.How().Archive != logs.ArchiveNever {
			return errArchiving // closed since
		}
		old, err := b.stored.open(ctx, id)
		if errors.Is(err, logservice.ErrBlobNotFound) {
			return b.store.Put(ctx, id, body, logs.BlobInfo{})
		}
		if err != nil {
			return err
		}
		defer old.Close()
		if empty {
			return nil
		}
		before, err := old.Range(ctx, 0, -1)
		if err != nil {
			return err
		}
		defer before.Close()
		return b.store.Put(ctx, id, io.MultiReader(before, body), logs.BlobInfo{Incomplete: old.Incomplete})
	})
}

// DeleteBlob deletes the log of id: what is stored, and a closed stream that
// waits to be archived. One that does not exist is no error.
func (b *blobs) DeleteBlob(ctx context.Context, id logservice.ID) error {
	return b.replacing(ctx, id, func(logs.Claim) error { return b.store.Delete(ctx, id) })
}

// DeleteBlobs deletes the logs of account at and below prefix (whole
// segments), as DeleteBlob does, and returns how many. After an error some may be
// gone.
func (b *blobs) DeleteBlobs(ctx context.Context, account string, prefix logservice.Key) (n int, err error) {
	if account == "" { // the filter would take it for all
		return 0, logservice.Invalidf("account is empty")
	}
	// What waits to be archived comes first: what is archived meanwhile is
	// in the listing of the store.
	infos, err := b.streams.List(ctx, logs.Filter{Account: account, Prefix: prefix})
	if err != nil {
		return 0, err
	}
	for i := range infos {
		if !infos[i].Pending() {
			continue
		}
		if err := b.DeleteBlob(ctx, infos[i].ID); err != nil {
			return n, err
		}
		n++
	}
	for e, err := range b.stored.ListBlobs(ctx, account, prefix) {
		if err != nil {
			return n, err
		}
		if err := b.DeleteBlob(ctx, logservice.ID{Account: account, Key: e.Key}); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
