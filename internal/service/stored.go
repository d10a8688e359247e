package service

import (
	"context"
	"errors"
	"iter"
	"log/slog"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
)

// storedLogs reads what is in the store.
type storedLogs struct {
	store logs.Store
	codec *archive.Codec
	log   *slog.Logger
}

func newStoredLogs(c Config) *storedLogs {
	return &storedLogs{store: c.Store, codec: archive.NewCodec(), log: c.Logger}
}

// ListBlobs yields the stored logs of account at and below prefix; see
// Store.List.
func (s *storedLogs) ListBlobs(ctx context.Context, account string, prefix logservice.Key) iter.Seq2[logs.BlobEntry, error] {
	return s.store.List(ctx, account, prefix)
}

// CountBlobs counts the stored logs of account at and below prefix, up to
// limit.
func (s *storedLogs) CountBlobs(ctx context.Context, account string, prefix logservice.Key, limit int) (n int, err error) {
	for _, err := range s.store.List(ctx, account, prefix) {
		if err != nil {
			return n, err
		}
		if n++; n >= limit {
			break
		}
	}
	return n, nil
}

// exists reports whether the store has a blob of id.
func (s *storedLogs) exists(ctx context.Context, id logservice.ID) (bool, error) {
	b, err := s.store.Get(ctx, id)
	if errors.Is(err, logservice.ErrBlobNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, b.Close()
}

// open opens a blob of the store.
func (s *storedLogs) open(ctx context.Context, id logservice.ID) (*Content, error) {
	b, err := s.store.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	info := b.Info()
	c := &Content{Size: info.Size, Modified: info.Modified, Lines: info.Lines, Incomplete: info.Incomplete, Archive: info.Archive, blob: b}
	if info.Archive {
		c.archive, err = s.openArchive(ctx, id, b)
	}
	if err == nil && c.archive == nil {
		err = c.look(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, b.Close())
	}
	if c.archive != nil {
		sum := c.archive.Summary()
		c.Size, c.Lines, c.Incomplete = sum.RawSize, sum.Lines, sum.Incomplete
		if !info.Plain {
			c.Encoding = encodingZstd
		}
	}
	return c, nil
}

// openArchive opens an archive. It is nil for a plain one that has lost its
// index, which is read like a client's own lines.
func (s *storedLogs) openArchive(ctx context.Context, id logservice.ID, b logs.Blob) (*archive.Reader, error) {
	info := b.Info()
	if !info.Plain {
		return s.codec.Open(ctx, b, info.Size)
	}
	indexed, ok := b.(logs.IndexedBlob)
	if !ok {
		return nil, nil
	}
	index, err := indexed.Index(ctx)
	if err == nil {
		var r *archive.Reader
		if r, err = s.codec.OpenPlain(b, info.Size, index); err == nil {
			return r, nil
		}
	}
	if isDamage(err) || errors.Is(err, logservice.ErrBlobNotFound) {
		s.log.Warn("an archive has no matching index; reading it from the start", "account", id.Account, "key", id.Key, "error", err)
		return nil, nil
	}
	return nil, err
}

func isDamage(err error) bool {
	var d *archive.DamageError
	return errors.As(err, &d) || errors.Is(err, logs.ErrDamaged)
}
