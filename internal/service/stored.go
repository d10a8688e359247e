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

	paused pausedReads
}

func newStoredLogs(c Config) *storedLogs {
	return &storedLogs{store: c.Store, codec: archive.NewCodec(), log: c.Logger}
}

// ListBlobs yields the stored logs of account at and below prefix, whether they
// can be read or not; see Store.List.
func (s *storedLogs) ListBlobs(ctx context.Context, account string, prefix logservice.Key) iter.Seq2[logs.BlobEntry, error] {
	return func(yield func(logs.BlobEntry, error) bool) {
		for e, err := range s.store.List(ctx, account, prefix) {
			if isDamage(err) {
				err = nil
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

// CountBlobs counts the stored logs of account at and below prefix, up to
// limit.
func (s *storedLogs) CountBlobs(ctx context.Context, account string, prefix logservice.Key, limit int) (n int, err error) {
	for _, err := range s.ListBlobs(ctx, account, prefix) {
		if err != nil {
			return n, err
		}
		if n++; n >= limit {
			break
		}
	}
	return n, nil
}

// newest is the number of the newest stored attempt of id; zero: there is none.
func (s *storedLogs) newest(ctx context.Context, id logservice.ID) (int64, error) {
	all, err := s.store.Attempts(ctx, id)
	if err != nil || len(all) == 0 {
		return 0, err
	}
	return all[len(all)-1].Attempt, nil
}

// open opens an attempt of id in the store; zero is the newest.
func (s *storedLogs) open(ctx context.Context, id logservice.ID, attempt int64) (*Content, error) {
	var b logs.Blob
	var err error
	if attempt == 0 {
		b, err = s.store.Get(ctx, id)
	} else {
		b, err = s.store.GetAttempt(ctx, id, attempt)
	}
	if err != nil {
		return nil, err
	}
	info := b.Info()
	c := &Content{
		Attempt: info.Attempt, Size: info.Size, Modified: info.Modified, Lines: info.Lines, Incomplete: info.Incomplete,
		Archive: info.Archive, hasStreamed: info.Streamed, blob: b, id: id, log: s.log,
	}
	if info.Archive {
		c.archive, err = s.openArchive(ctx, id, b)
	}
	switch {
	case info.Archive && isDamage(err):
		c.readDamaged(err)
	case err != nil:
		return nil, errors.Join(err, b.Close())
	case c.archive == nil:
		if err := c.look(ctx); err != nil {
			return nil, errors.Join(err, b.Close())
		}
	default:
		sum := c.archive.Summary()
		c.Size, c.Lines, c.Incomplete = sum.RawSize, sum.Lines, sum.Incomplete
		if !info.Plain {
			c.Encoding = encodingZstd
		}
	}
	return c, nil
}

// readDamaged makes an archive with a damaged index readable from its
// beginning. Whether that is all of it is unknown.
func (c *Content) readDamaged(err error) {
	c.damage, c.Size = err, -1
	if !c.blob.Info().Plain {
		c.packed = encodingZstd
	}
	c.report(err)
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
	if errors.Is(err, logservice.ErrBlobNotFound) {
		s.log.Warn("an archive has no index; reading it from the start", "account", id.Account, "key", id.Key)
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return s.codec.OpenPlain(b, info.Size, index)
}
