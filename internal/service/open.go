package service

import (
	"context"
	"errors"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Blob opens the finished log of id, its newest attempt or, if attempt is not
// zero, that one: a blob of the store, or a closed stream that waits to be
// archived. ErrBlobNotFound: neither exists.
func (b *blobs) Blob(ctx context.Context, id logservice.ID, attempt int64) (*Content, error) {
	for range 2 {
		info, live, away := b.live(ctx, id) // stored logs can be read without the engine
		live = live && (attempt == 0 || attempt == info.Attempt)
		if live {
			upload, err := b.lastUpload(ctx, info)
			if err != nil {
				return nil, err
			}
			// Not all of a closed stream is stored yet.
			if info.Closed && !info.Empty() {
				c, err := b.openClosed(ctx, info, upload)
				if !errors.Is(err, logservice.ErrStreamNotFound) {
					return c, err
				}
			} else if upload != nil {
				upload.Attempt = info.Attempt
				return upload, nil
			}
			if upload != nil {
				_ = upload.Close() // read only: nothing can be lost
			}
		}
		c, err := b.stored.open(ctx, id, attempt)
		if !errors.Is(err, logservice.ErrBlobNotFound) {
			return c, err
		}
		if away != nil {
			return nil, away
		}
		if live && info.Closed { // it is empty, and all there is
			c, err := b.openClosed(ctx, info, nil)
			if !errors.Is(err, logservice.ErrStreamNotFound) {
				return c, err
			}
		}
	}
	return nil, logservice.ErrBlobNotFound
}

// lastUpload opens the last upload that is set aside for a stream; nil if there
// is none, or if the store is away and the stream can be read without it.
func (b *blobs) lastUpload(ctx context.Context, info logs.Info) (*Content, error) {
	u, err := b.stored.uploads(ctx, info.ID, info.Attempt)
	var c *Content
	if err == nil {
		c, err = u.last(ctx)
	}
	if info.Closed && errors.Is(err, logservice.ErrUnavailable) {
		return nil, nil
	}
	return c, err
}

// BlobExists reports whether Blob would find something.
func (b *blobs) BlobExists(ctx context.Context, id logservice.ID) (bool, error) {
	c, err := b.Blob(ctx, id, 0)
	switch {
	case errors.Is(err, logservice.ErrBlobNotFound):
		return false, nil
	case isDamage(err):
		return true, nil // those who read it find out
	case err != nil:
		return false, err
	}
	return true, c.Close()
}

// openClosed opens the log of a closed stream, with what is stored of its
// attempt from before and what only its upload has, if there is one.
func (b *blobs) openClosed(ctx context.Context, info logs.Info, upload *Content) (*Content, error) {
	c, err := b.streams.Follow(ctx, info.ID, 0)
	if err != nil {
		return nil, err
	}
	c.Close()
	return &Content{
		Attempt: info.Attempt, Size: -1, Incomplete: info.How.Incomplete, upload: upload, id: info.ID, log: b.stored.log,
		open: func(ctx context.Context) (logs.Cursor, error) {
			c, _, err := b.closer.archiver.joined(ctx, info, upload)
			return c, err
		},
	}, nil
}

// StoreLink returns a URL of the store itself from which the newest attempt of
// id can be read for ttl (as in SignLink), without passing through the service.
// ErrUnsupported: the store makes none, or does not have the log yet; a link
// that SignLink makes does the same.
func (b *blobs) StoreLink(ctx context.Context, id logservice.ID, ttl time.Duration) (string, error) {
	signer, ok := b.store.(logs.Signer)
	if !ok {
		return "", logservice.ErrUnsupported
	}
	if ttl <= 0 {
		ttl = DefaultLinkTTL
	}
	if b.closer.waiting(ctx, id) {
		return "", logservice.ErrUnsupported
	}
	link, err := signer.SignGet(ctx, id, min(ttl, MaxLinkTTL))
	if errors.Is(err, logservice.ErrBlobNotFound) || errors.Is(err, logservice.ErrUnavailable) {
		err = logservice.ErrUnsupported
	}
	return link, err
}
