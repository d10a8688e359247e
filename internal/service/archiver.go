package service

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"strings"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
)

const (
	// maxArchiving bounds the logs that are archived at once, each with a
	// frame or two in memory (about 1 MiB); more than there are processors,
	// since the store's syncs are shared.
	maxArchiving = 16
	// smallArchive is how much of an archive is made before it is given to the
	// store: one that ends within it is stored with its line count and size
	// beside it, which spares listings and readers a look inside.
	smallArchive = 256 << 10
)

// archiver stores the logs of closed streams.
type archiver struct {
	streams logs.Streams
	stored  *storedLogs
	store   logs.Store
	codec   *archive.Codec
	quota   *quota
	log     *slog.Logger
	plain   bool          // Config.Plain
	locks   *keyLocks     // of the writers of a blob
	slots   chan struct{} // one for each log being archived
}

func newArchiver(c Config, stored *storedLogs, q *quota, locks *keyLocks) *archiver {
	return &archiver{
		streams: c.Streams, stored: stored, store: c.Store, codec: stored.codec, quota: q, log: c.Logger, plain: c.Plain,
		locks: locks, slots: make(chan struct{}, maxArchiving),
	}
}

// archive stores the log of a claimed stream, as it was closed.
func (a *archiver) archive(ctx context.Context, id logservice.ID, c logs.Claim) error {
	how := c.How()
	if how.Archive == logs.ArchiveNever {
		return nil
	}
	// The lock first: a client that uploads slowly must not hold a slot.
	unlock, err := a.locks.lock(ctx, id)
	if err != nil {
		return err
	}
	defer unlock()
	select {
	case a.slots <- struct{}{}:
		defer func() { <-a.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if how.Archive == logs.ArchiveIfMissing {
		switch exists, err := a.stored.exists(ctx, id); {
		case isDamage(err): // nothing of that can be read any more
		case err != nil:
			return err
		case exists && how.Incomplete:
			return a.putBeside(ctx, id, c)
		case exists:
			return nil
		}
	}
	return a.put(ctx, id, id, c)
}

// put stores the log of the claimed stream from under the identity to.
func (a *archiver) put(ctx context.Context, from, to logservice.ID, claim logs.Claim) error {
	c, err := a.streams.Follow(ctx, from, 0)
	if err != nil {
		return err
	}
	defer c.Close()
	incomplete := claim.How().Incomplete
	indexer, ok := a.store.(logs.Indexer)
	plain := a.plain && ok
	p := newPacker(ctx, a.codec, c, claim, plain)
	if err := p.fill(smallArchive); err != nil {
		return err
	}
	info := logs.BlobInfo{Archive: true, Plain: plain, Incomplete: incomplete}
	if p.ended {
		info.RawSize, info.Lines = p.sum.RawSize, p.sum.Lines
	}
	r := a.quota.counted(to.Account, p)
	if plain {
		err = indexer.PutIndexed(ctx, to, r, info, p.w.Index)
	} else {
		err = a.store.Put(ctx, to, r, info)
	}
	if err != nil && p.ended {
		claim.Rollback(context.WithoutCancel(ctx))
	}
	if noter, ok := claim.(logs.Archivable); ok && err == nil {
		noter.Archived(logs.Archived{ID: to, Summary: p.sum})
	}
	return err
}

// putBeside archives an abandoned log whose key has a blob already. Most
// often that is the whole log, uploaded by its writer which then died before
// it could close the stream: if the blob begins with all lines of the
// stream, nothing else is kept. Otherwise nobody can tell which of the two is
// wanted, so both stay: the stream goes to a key below its own,
// "<key>/incomplete-<hash of its lines>", where listings, zip files and
// deletions of the key's prefix find it. The name follows from the lines, so
// a repetition changes nothing.
func (a *archiver) putBeside(ctx context.Context, id logservice.ID, c logs.Claim) error {
	name, contained, err := a.compare(ctx, id)
	if err != nil || contained {
		return err
	}
	suffix := "/incomplete-" + name
	parent := string(id.Key)
	for len(parent)+len(suffix) > logservice.MaxKeyBytes {
		// The suffix does not fit: it does one level further up, as no
		// account's logs are all below one segment of that length.
		i := strings.LastIndexByte(parent, '/')
		if i < 0 {
			parent, suffix = "", suffix[1:]
			break
		}
		parent = parent[:i]
	}
	beside := logservice.ID{Account: id.Account, Key: logservice.Key(parent + suffix)}
	a.log.Warn("an abandoned log already has a stored log; archiving it under another key", "account", id.Account, "key", id.Key, "archive", beside.Key)
	return a.put(ctx, id, beside, c)
}

// compare reports whether the blob of id begins with all lines of the stream
// of id, and makes a name of these.
func (a *archiver) compare(ctx context.Context, id logservice.ID) (name string, contained bool, err error) {
	c, err := a.streams.Follow(ctx, id, 0)
	if err != nil {
		return "", false, err
	}
	defer c.Close()
	content, err := a.stored.open(ctx, id)
	if err != nil && !isDamage(err) {
		return "", false, err
	}
	contained = err == nil
	var blob io.Reader = strings.NewReader("")
	if contained {
		defer content.Close()
		r, err := content.Range(ctx, 0, -1)
		if err != nil {
			return "", false, err
		}
		defer r.Close()
		blob = bufio.NewReaderSize(r, 64<<10)
	}
	hash := sha256.New()
	hash.Write([]byte(id.Key))
	for {
		batches, err := c.Next(ctx)
		if errors.Is(err, io.EOF) {
			return hex.EncodeToString(hash.Sum(nil)[:8]), contained, nil
		}
		if err == nil && len(batches) == 0 {
			err = errNotClosed
		}
		if err != nil {
			return "", false, err
		}
		for _, b := range batches {
			hash.Write(b.Data)
			if !contained {
				continue
			}
			same := make([]byte, len(b.Data))
			_, err := io.ReadFull(blob, same)
			if err != nil && !isDamage(err) && err != io.EOF && err != io.ErrUnexpectedEOF {
				return "", false, err
			}
			contained = err == nil && bytes.Equal(same, b.Data)
		}
	}
}
