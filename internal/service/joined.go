package service

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// In logservice.InternalAccount, by first segment of the key:
const (
	uploads = logservice.Key("uploads") // of attempts that have a stream
	staged  = logservice.Key("staged")  // uploads while they are joined with what is stored
)

// stagedFor is when an upload that a crash left is removed.
const stagedFor = 24 * time.Hour

// newUpload is where an upload is set aside until the stream of its attempt is
// archived. Names sort by time.
func newUpload(id logservice.ID, attempt int64) logservice.ID {
	name := fmt.Sprintf("%016x-%s", time.Now().UnixNano(), rand.Text())
	return logservice.ID{Account: logservice.InternalAccount, Key: uploadsOf(id, attempt) + "/" + logservice.Key(name)}
}

func uploadsOf(id logservice.ID, attempt int64) logservice.Key {
	return allUploadsOf(id) + "/" + logservice.Key(strconv.FormatInt(attempt, 10))
}

func allUploadsOf(id logservice.ID) logservice.Key {
	sum := sha256.Sum256([]byte(id.Account + "\x00" + string(id.Key)))
	return uploads + "/" + logservice.Key(hex.EncodeToString(sum[:16]))
}

// aside is the uploads of an attempt that are set aside, in the order in which
// they came.
type aside struct {
	stored *storedLogs
	all    []logservice.ID
}

// uploads finds the uploads that are set aside for an attempt.
func (s *storedLogs) uploads(ctx context.Context, id logservice.ID, attempt int64) (*aside, error) {
	u := &aside{stored: s}
	for e, err := range s.store.List(ctx, logservice.InternalAccount, uploadsOf(id, attempt)) {
		if err != nil {
			return u, err
		}
		u.all = append(u.all, logservice.ID{Account: logservice.InternalAccount, Key: e.Key})
	}
	return u, nil
}

// open opens upload i; nil if it is gone, or cannot be read any more.
func (u *aside) open(ctx context.Context, i int) (*Content, error) {
	if i < 0 || i >= len(u.all) {
		return nil, nil
	}
	c, err := u.stored.open(ctx, u.all[i], 1)
	if errors.Is(err, logservice.ErrBlobNotFound) || isDamage(err) {
		return nil, nil
	}
	return c, err
}

// last opens the upload that came last.
func (u *aside) last(ctx context.Context) (*Content, error) { return u.open(ctx, len(u.all)-1) }

// delete removes them all.
func (u *aside) delete(ctx context.Context) error {
	for _, id := range u.all {
		if err := u.stored.store.Delete(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// deleteUploads deletes what is set aside for the attempts of id.
func (s *storedLogs) deleteUploads(ctx context.Context, id logservice.ID) error {
	for e, err := range s.store.List(ctx, logservice.InternalAccount, allUploadsOf(id)) {
		if err != nil {
			return err
		}
		if err := s.store.Delete(ctx, logservice.ID{Account: logservice.InternalAccount, Key: e.Key}); err != nil {
			return err
		}
	}
	return nil
}

// stage stores body where it can be read several times. The caller calls remove.
func (b *blobs) stage(ctx context.Context, body io.Reader) (c *Content, remove func(), err error) {
	id := logservice.ID{Account: logservice.InternalAccount, Key: staged + "/" + logservice.Key(rand.Text())}
	if err := b.store.Put(ctx, id, body, logs.BlobInfo{}); err != nil {
		return nil, nil, err
	}
	if c, err = b.stored.open(ctx, id, 1); err != nil {
		return nil, nil, err
	}
	return c, func() {
		_ = c.Close()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
		defer cancel()
		_ = b.store.Delete(ctx, id) // otherwise removeStaged does it
	}, nil
}

// removeStaged removes the uploads that a crash left.
func (s *storedLogs) removeStaged(ctx context.Context) {
	for e, err := range s.store.List(ctx, logservice.InternalAccount, staged) {
		if err != nil {
			if ctx.Err() == nil {
				s.log.Warn("cannot list the uploads that a crash left", "error", err)
			}
			return
		}
		if time.Since(e.Info.Modified) < stagedFor {
			continue
		}
		if err := s.store.Delete(ctx, logservice.ID{Account: logservice.InternalAccount, Key: e.Key}); err != nil && ctx.Err() == nil {
			s.log.Warn("cannot remove an upload that a crash left", "key", e.Key, "error", err)
		}
	}
}

// joinStored joins an upload with the lines of an attempt that are stored.
func (b *blobs) joinStored(ctx context.Context, id logservice.ID, old *Content, body io.Reader) error {
	upload, remove, err := b.stage(ctx, body)
	if err != nil {
		return err
	}
	defer remove()
	return b.closer.archiver.join(ctx, id, old, upload)
}
