package service

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"strings"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
)

// smallArchive is how much of an archive is made before it is given to the
// store: one that ends within it is stored with its line count and size
// beside it, which spares listings and readers a look inside.
const smallArchive = 256 << 10

// errNotClosed: the engine has not closed a stream that it said to have.
var errNotClosed = errors.New("the stream to be archived is not closed")

// archive stores the log of a claimed stream, as it was closed.
func (s *Service) archive(ctx context.Context, id logservice.ID, c logs.Claim) error {
	how := c.How()
	if how.Archive == logs.ArchiveNever {
		return nil
	}
	// The turn first: a client that uploads slowly must not hold a slot.
	done, err := s.turns.take(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if how.Archive == logs.ArchiveIfMissing {
		switch exists, err := s.stored(ctx, id); {
		case err != nil:
			return err
		case exists && how.Incomplete:
			return s.archiveBeside(ctx, id, c)
		case exists:
			return nil
		}
	}
	return s.putArchive(ctx, id, id, c)
}

// stored tells whether the store has a blob of id.
func (s *Service) stored(ctx context.Context, id logservice.ID) (bool, error) {
	b, err := s.store.Get(ctx, id)
	if errors.Is(err, logservice.ErrBlobNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, b.Close()
}

// putArchive stores the log of the claimed stream from under the identity to.
func (s *Service) putArchive(ctx context.Context, from, to logservice.ID, claim logs.Claim) error {
	c, err := s.streams.Follow(ctx, from, 0)
	if err != nil {
		return err
	}
	defer c.Close()
	incomplete := claim.How().Incomplete
	indexer, ok := s.store.(logs.Indexer)
	plain := s.plain && ok
	p := newPacker(ctx, s.codec, c, claim, plain)
	if err := p.fill(smallArchive); err != nil {
		return err
	}
	info := logs.BlobInfo{Archive: true, Plain: plain, Incomplete: incomplete}
	if p.ended {
		info.RawSize, info.Lines = p.sum.RawSize, p.sum.Lines
	}
	r := s.quota.counted(to.Account, p)
	if plain {
		err = indexer.PutIndexed(ctx, to, r, info, p.w.Index)
	} else {
		err = s.store.Put(ctx, to, r, info)
	}
	if err != nil && p.ended {
		claim.Rollback(context.WithoutCancel(ctx))
	}
	if a, ok := claim.(logs.Archivable); ok && err == nil {
		a.Archived(logs.Archived{ID: to, Summary: p.sum})
	}
	return err
}

// archiveBeside archives an abandoned log whose key has a blob already. Most
// often that is the whole log, uploaded by its writer which then died before
// it could close the stream: if the blob begins with all lines of the
// stream, nothing else is kept. Otherwise nobody can tell which of the two is
// wanted, so both stay: the stream goes to a key below its own,
// "<key>/incomplete-<hash of its lines>", where listings, zip files and
// deletions of the key's prefix find it. The name follows from the lines, so
// a repetition changes nothing.
func (s *Service) archiveBeside(ctx context.Context, id logservice.ID, c logs.Claim) error {
	name, contained, err := s.compare(ctx, id)
	if err != nil || contained {
		return err
	}
	suffix := "/incomplete-" + name
	parent := string(id.Key)
	for len(parent)+len(suffix) > logservice.MaxKeyBytes {
		// A key that leaves no room: the next level above has some, as no
		// account's logs are all below one segment of that length.
		i := strings.LastIndexByte(parent, '/')
		if i < 0 {
			parent, suffix = "", suffix[1:]
			break
		}
		parent = parent[:i]
	}
	beside := logservice.ID{Account: id.Account, Key: logservice.Key(parent + suffix)}
	s.log.Warn("an abandoned log already has a stored log; archiving it under another key", "account", id.Account, "key", id.Key, "archive", beside.Key)
	return s.putArchive(ctx, id, beside, c)
}

// compare tells whether the blob of id begins with all lines of the stream
// of id, and makes a name of these.
func (s *Service) compare(ctx context.Context, id logservice.ID) (name string, contained bool, err error) {
	c, err := s.streams.Follow(ctx, id, 0)
	if err != nil {
		return "", false, err
	}
	defer c.Close()
	content, err := s.openStored(ctx, id)
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

func isDamage(err error) bool {
	var d *archive.DamageError
	return errors.As(err, &d) || errors.Is(err, logs.ErrDamaged)
}

// packer is the archive of a closed stream as an io.Reader: it reads the
// cursor only as fast as it is read.
type packer struct {
	ctx   context.Context
	c     logs.Cursor
	claim logs.Claim
	w     *archive.Writer
	out   bytes.Buffer // archive bytes that are not read yet
	sum   logs.Summary
	ended bool // all is in out, and sum is set
	err   error
}

func newPacker(ctx context.Context, codec *archive.Codec, c logs.Cursor, claim logs.Claim, plain bool) *packer {
	p := &packer{ctx: ctx, c: c, claim: claim}
	p.w = codec.NewWriter(&p.out)
	if plain {
		p.w = codec.NewPlainWriter(&p.out)
	}
	if claim.How().Incomplete {
		p.w.MarkIncomplete()
	}
	return p
}

// fill makes the archive until it ends or n bytes of it are there.
func (p *packer) fill(n int) error {
	for p.err == nil && !p.ended && p.out.Len() < n {
		p.err = p.step()
	}
	return p.err
}

func (p *packer) step() (err error) {
	batches, err := p.c.Next(p.ctx)
	if errors.Is(err, io.EOF) {
		// What somebody stores who has taken the stream, or has taken over
		// from a service that was thought dead, must not be replaced.
		if err := p.claim.Commit(p.ctx); err != nil {
			return err
		}
		p.ended = true
		p.sum, err = p.w.Close()
		return err
	}
	if err == nil && len(batches) == 0 {
		err = errNotClosed
	}
	if err != nil {
		return err
	}
	for _, b := range batches {
		if err := p.w.Append(b); err != nil {
			return err
		}
	}
	return nil
}

func (p *packer) Read(b []byte) (int, error) {
	if err := p.fill(1); err != nil {
		return 0, err
	}
	return p.out.Read(b) // io.EOF when empty, and only then
}
