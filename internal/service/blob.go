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
// longer than the 2 minutes for which clients retry an upload.
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

// PutBlob stores what r yields as the log of id, byte for byte and whole or not
// at all: as the attempt that is open or waits to be archived, or else as the
// newest one. Lines of that attempt that were streamed keep their sequences,
// and what only r has follows them (see package join); earlier uploads are
// replaced. With add, r is appended to what is stored instead (to an archive as
// JSON lines), after a closed stream was archived.
//
// An empty r is rejected with ErrConflict if lines were streamed, or if a blob
// with content was written in the last minutes: it is a client's retry with a
// body that it had already consumed. Writers of one identity take turns; one
// that waits too long gets ErrUnavailable.
func (b *blobs) PutBlob(ctx context.Context, id logservice.ID, r io.Reader, add bool) error {
	if err := b.quota.mayStore(id.Account); err != nil {
		return err
	}
	body := bufio.NewReaderSize(b.quota.counted(id.Account, r), 64<<10)
	_, err := body.Peek(1) // before locking, so that nobody waits for this client
	empty := errors.Is(err, io.EOF)
	if err != nil && !empty {
		return fmt.Errorf("reading the blob: %w", err)
	}
	if add {
		return b.addToBlob(ctx, id, body, empty)
	}
	return b.upload(ctx, id, body, empty)
}

// upload stores body. While the attempt has a stream, it is set aside, for the
// archiver to join the two: neither ever replaces the other, whichever server
// receives it.
func (b *blobs) upload(ctx context.Context, id logservice.ID, body io.Reader, empty bool) error {
	info, live, err := b.live(ctx, id)
	if err != nil {
		return err
	}
	if !live {
		return b.uploadEnded(ctx, id, body, empty)
	}
	if empty {
		if info.Empty() {
			return nil // as the log is
		}
		return logservice.Errorf(logservice.ErrConflict,
			"an empty body would take the place of %d lines that were streamed: send the log, or close the stream without an upload", info.Lines)
	}
	if err := b.store.Put(ctx, newUpload(id, info.Attempt), body, logs.BlobInfo{}); err != nil {
		return err
	}
	if now, live, err := b.live(ctx, id); err == nil && live && !now.Closed && now.Attempt == info.Attempt {
		return nil // its close comes after this
	}
	return b.ensureJoined(ctx, logs.Attempt{ID: id, Number: info.Attempt})
}

// ensureJoined makes sure that an upload which was set aside for a stream that
// is closed by now is joined with it. Its archiver may have checked too early:
// if it is not done, it checks again.
func (b *blobs) ensureJoined(ctx context.Context, of logs.Attempt) error {
	unlock, err := b.locks.lock(ctx, of.ID)
	if err != nil {
		return err
	}
	defer unlock()
	claim, err := b.closer.takeClosed(ctx, of.ID)
	if err != nil {
		return err
	}
	stored := true
	if claim != nil {
		defer b.closer.resumeTaken(context.WithoutCancel(ctx), of.ID, claim)
		old, err := b.stored.open(ctx, of.ID, of.Number)
		switch {
		case err == nil:
			stored = old.streamed()
			_ = old.Close() // read only: nothing can be lost
		case errors.Is(err, logservice.ErrBlobNotFound) || isDamage(err):
			stored = false
		default:
			return err
		}
	}
	if !stored {
		return nil
	}
	return b.closer.archiver.joinUploads(ctx, of.ID, of.Number)
}

// live describes the stream of id that is open or waits to be archived.
func (b *blobs) live(ctx context.Context, id logservice.ID) (info logs.Info, ok bool, err error) {
	info, err = b.streams.Stat(ctx, id)
	if errors.Is(err, logservice.ErrStreamNotFound) {
		return info, false, nil
	}
	return info, err == nil && (!info.Closed || info.Pending()), err
}

// uploadEnded stores the upload of a log without a stream.
func (b *blobs) uploadEnded(ctx context.Context, id logservice.ID, body io.Reader, empty bool) error {
	unlock, err := b.locks.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	old, err := b.stored.open(ctx, id, 0)
	switch {
	case errors.Is(err, logservice.ErrBlobNotFound):
		return b.store.Put(ctx, id, body, logs.BlobInfo{})
	case isDamage(err):
		attempt, err := b.stored.newest(ctx, id)
		if err != nil {
			return err
		}
		return b.store.Put(ctx, id, body, logs.BlobInfo{Attempt: attempt + 1}) // what can be read of the other stays
	case err != nil:
		return err
	}
	defer old.Close()
	if empty {
		if err := mayBeEmptied(old); err != nil {
			return err
		}
	}
	if !old.streamed() {
		return b.store.Put(ctx, id, body, logs.BlobInfo{Attempt: old.Attempt})
	}
	return b.joinStored(ctx, id, old, body)
}

// mayBeEmptied returns an error if what is stored looks like the log that the
// client meant to send.
func mayBeEmptied(old *Content) error {
	switch age := time.Since(old.Modified); {
	case old.streamed():
		return logservice.Errorf(logservice.ErrConflict,
			"an empty body would take the place of lines that were streamed: delete the log first if that is wanted")
	case old.stored() > 0 && age < emptyGuard:
		return logservice.Errorf(logservice.ErrConflict,
			"an empty body would replace the log of %d bytes that was stored %s ago: delete it first if that is wanted", old.stored(), age.Round(time.Second))
	}
	return nil
}

// addToBlob appends body to the newest attempt of id.
func (b *blobs) addToBlob(ctx context.Context, id logservice.ID, body io.Reader, empty bool) error {
	if err := b.closer.awaitArchived(ctx, id); err != nil {
		return err
	}
	unlock, err := b.locks.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	if b.closer.waiting(ctx, id) {
		return errArchiving // closed since
	}
	old, err := b.stored.open(ctx, id, 0)
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
	return b.store.Put(ctx, id, io.MultiReader(before, body), logs.BlobInfo{
		Attempt: old.Attempt, Incomplete: old.Incomplete, Streamed: old.streamed(),
	})
}

// DeleteBlob deletes the log of id: all its attempts that are stored, and a
// closed stream that waits to be archived. One that does not exist is no error.
func (b *blobs) DeleteBlob(ctx context.Context, id logservice.ID) error {
	return b.replacing(ctx, id, func() error {
		return errors.Join(b.stored.deleteUploads(ctx, id), b.store.Delete(ctx, id))
	})
}

// DeleteBlobs deletes the logs of account at and below prefix (whole
// segments), as DeleteBlob does, and returns how many. After an error some may be
// gone.
func (b *blobs) DeleteBlobs(ctx context.Context, account string, prefix logservice.Key) (n int, err error) {
	if account == "" { // the filter would take it for all
		return 0, logservice.Invalidf("account is empty")
	}
	// Closed streams first: those archived meanwhile appear in the store's
	// listing.
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
