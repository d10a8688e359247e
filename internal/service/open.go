package service

import (
	"context"
	"errors"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// Blob opens the finished log of id: a blob of the store, or a closed stream
// that waits to be archived. ErrBlobNotFound: neither exists.
func (b *blobs) Blob(ctx context.Context, id logservice.ID) (*Content, error) {
	for round := range 2 {
		// A stream that will replace what is stored comes first.
		if how, ok := b.closer.waiting(ctx, id); ok && (round > 0 || how.Archive == logs.ArchiveAlways) {
			c, err := b.openClosed(ctx, id, how)
			if !errors.Is(err, logservice.ErrStreamNotFound) {
				return c, err
			}
		}
		c, err := b.stored.open(ctx, id)
		if errors.Is(err, logservice.ErrUnavailable) {
			// What is still here can be read while the store is down.
			if how, ok := b.closer.waiting(ctx, id); ok {
				if c, err := b.openClosed(ctx, id, how); err == nil {
					return c, nil
				}
			}
		}
		if !errors.Is(err, logservice.ErrBlobNotFound) {
			return c, err
		}
	}
	return nil, logservice.ErrBlobNotFound
}

// BlobExists reports whether Blob would find something.
func (b *blobs) BlobExists(ctx context.Context, id logservice.ID) (bool, error) {
	exists, err := b.stored.exists(ctx, id)
	if isDamage(err) {
		return true, nil // those who read it get to know
	}
	if err != nil || exists {
		return exists, err
	}
	if _, ok := b.closer.waiting(ctx, id); ok {
		return true, nil
	}
	return b.stored.exists(ctx, id) // it may have been archived in between
}

func (b *blobs) openClosed(ctx context.Context, id logservice.ID, how logs.Closing) (*Content, error) {
	c, err := b.streams.Follow(ctx, id, 0)
	if err != nil {
		return nil, err
	}
	c.Close()
	return &Content{Size: -1, Incomplete: how.Incomplete, streams: b.streams, id: id, log: b.stored.log}, nil
}

// StoreLink returns a URL of the store itself that allows kind on id for ttl
// (as in SignLink): what it carries does not pass through the service.
// ErrUnsupported: the store makes none, or does not have the log yet; a link
// that SignLink makes does the same.
func (b *blobs) StoreLink(ctx context.Context, kind LinkKind, id logservice.ID, ttl time.Duration) (string, error) {
	signer, ok := b.store.(logs.Signer)
	if !ok {
		return "", logservice.ErrUnsupported
	}
	if ttl <= 0 {
		ttl = DefaultLinkTTL
	}
	ttl = min(ttl, MaxLinkTTL)
	if _, ok := b.closer.waiting(ctx, id); ok {
		return "", logservice.ErrUnsupported // what is archived next must neither be missed nor replace the upload
	}
	switch kind {
	case LinkUpload:
		return signer.SignPut(ctx, id, ttl)
	case LinkDownload:
		return signer.SignGet(ctx, id, ttl)
	}
	return "", logservice.ErrUnsupported
}
