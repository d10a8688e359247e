package bolt

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// maxEmptyReads is how often in a row a reader may return no bytes and no error
// before it is considered stuck, as in package bufio.
const maxEmptyReads = 100

// buffers pools buffers of one chunk, raw or stored. An upload uses one, a
// download two.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *[maxStored]byte {
	if p, ok := b.pool.Get().(*[maxStored]byte); ok {
		return p
	}
	return new([maxStored]byte)
}

func (b *buffers) put(p *[maxStored]byte) { b.pool.Put(p) }

// Put stores a blob; see logs.Store.
func (s *Store) Put(ctx context.Context, id logservice.ID, r io.Reader, info logs.BlobInfo) error {
	key, err := blobKey(id, info.Attempt)
	if err != nil {
		return err
	}
	var first [inlineSize]byte
	n, err := fill(r, first[:])
	if err != nil {
		return s.about(id, "store", err)
	}
	u := &upload{store: s, key: key, info: info}
	u.info.Size = int64(n)
	if n < len(first) {
		return s.about(id, "store", u.inline(ctx, first[:n]))
	}
	leave, err := s.acquireUpload(ctx)
	if err != nil {
		return s.about(id, "store", err)
	}
	defer leave()
	return s.about(id, "store", u.large(ctx, first[:], r))
}

// acquireUpload waits for one of the slots for large uploads.
func (s *Store) acquireUpload(ctx context.Context) (leave func(), err error) {
	leave = func() { <-s.uploads }
	select {
	case s.uploads <- struct{}{}:
		return leave, nil
	default:
	}
	timer := time.NewTimer(maxUploadWait)
	defer timer.Stop()
	select {
	case s.uploads <- struct{}{}:
		return leave, nil
	case <-timer.C:
		return nil, &logservice.UnavailableError{Cause: errors.New("too many uploads at once"), RetryAfter: maxUploadWait}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.stop:
		return nil, errClosed
	}
}

// upload is one call of Put, used only by its goroutine.
type upload struct {
	store *Store
	key   []byte
	info  logs.BlobInfo
}

// inline stores raw, at most chunkSize bytes, in the record. raw may be reused
// when it returns.
func (u *upload) inline(ctx context.Context, raw []byte) error {
	rec := record{info: u.info, inline: raw}
	if !u.info.Archive && len(raw) > 0 {
		rec.inline, rec.encoding = u.store.zip.shrink(nil, raw)
	}
	return u.publish(ctx, rec)
}

// large stores head and what r yields after it: in a file, unless it compresses
// to little enough.
func (u *upload) large(ctx context.Context, head []byte, r io.Reader) error {
	p := u.store.buffers.get()
	defer u.store.buffers.put(p)
	buf := p[:chunkSize]
	n := copy(buf, head)
	more, err := fill(r, buf[n:])
	if err != nil {
		return err
	}
	n += more
	u.info.Size = int64(n)
	if n < chunkSize && !u.info.Archive {
		if stored, encoding := u.store.zip.shrink(nil, buf[:n]); len(stored) <= inlineSize {
			return u.publish(ctx, record{info: u.info, inline: stored, encoding: encoding})
		}
	}
	if f := u.store.failed.Load(); f != nil && f.starting {
		return f.err // the last generation is not known yet
	}
	w, err := u.store.createBlob()
	if err != nil {
		return err
	}
	rec := record{generation: w.generation, file: true, encoding: encodingZstd}
	if u.info.Archive {
		rec.encoding = encodingRaw // it is already compressed
	}
	if err = u.write(ctx, w, buf[:n], r, rec.encoding); err == nil {
		rec.info = u.info
		rec.info.Modified = u.store.now()
		err = w.seal(u.key, rec.encode(u.key))
	}
	if err != nil {
		w.discard()
		return err
	}
	return u.publish(ctx, rec)
}

// write writes the chunks, the first of which is in buf.
func (u *upload) write(ctx context.Context, w *blobWriter, buf []byte, r io.Reader, encoding byte) error {
	for n := len(buf); n > 0; {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := w.add(buf[:n], encoding); err != nil || n < chunkSize {
			return err
		}
		var err error
		if n, err = fill(r, buf[:chunkSize]); err != nil {
			return err
		}
		u.info.Size += int64(n)
	}
	return nil
}

// publish stores the record, replacing an older one.
func (u *upload) publish(ctx context.Context, rec record) error {
	s := u.store
	if !rec.file {
		rec.info.Modified = u.store.now()
	}
	value := rec.encode(u.key)
	var old record
	err := s.submit(ctx, &op{files: rec.file, apply: func(tx *txn) error {
		var err error
		if old, err = s.unlink(tx, u.key); err != nil {
			return err
		}
		if rec.file {
			if err := tx.put(bucketFiles, generationKey(rec.generation), fileThere); err != nil {
				return err
			}
		}
		return tx.put(bucketBlobs, u.key, value)
	}})
	switch {
	case err != nil && rec.file:
		s.removeUnlessKnown(u.key, rec.generation)
	case err == nil && (!old.file || old.generation != rec.generation): // otherwise a rebuild was faster
		s.remove(old)
	}
	return err
}

// removeUnlessKnown removes the file of a failed upload. A commit whose sync
// failed may still count: a file in doubt is left to the next start.
func (s *Store) removeUnlessKnown(key []byte, generation uint64) {
	rec, err := s.record(key)
	if errors.Is(err, logservice.ErrBlobNotFound) || err == nil && (!rec.file || rec.generation != generation) {
		s.removeBlob(generation)
	}
}

// fill reads until p is full or r ends, which is not an error.
func fill(r io.Reader, p []byte) (n int, err error) {
	for empty := 0; n < len(p) && empty < maxEmptyReads; {
		m, err := r.Read(p[n:])
		if m < 0 || m > len(p)-n {
			return n, errors.New("reader returned an impossible count")
		}
		n += m
		switch {
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		case m == 0:
			empty++
		default:
			empty = 0
		}
	}
	if n < len(p) {
		return n, io.ErrNoProgress
	}
	return n, nil
}
