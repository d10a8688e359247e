package bolt

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// groupBudget bounds the stored bytes that all uploads together gather for
// their next transactions; each gets its share, at most maxBatchBytes.
const groupBudget = 32 << 20

// maxEmptyReads is how often in turn a reader may return nothing and no
// error before it counts as stuck, as in package bufio.
const maxEmptyReads = 100

// buffers keeps raw buffers of one chunk. An upload or download takes one.
type buffers struct{ pool sync.Pool }

func (b *buffers) get() *[chunkSize]byte {
	if p, ok := b.pool.Get().(*[chunkSize]byte); ok {
		return p
	}
	return new([chunkSize]byte)
}

func (b *buffers) put(p *[chunkSize]byte) { b.pool.Put(p) }

// Put stores a blob; see logs.Store. It reads and compresses one group of
// chunks while the one before is committed.
func (s *Store) Put(ctx context.Context, id logservice.ID, r io.Reader, info logs.BlobInfo) error {
	key, err := blobKey(id)
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
	leave, err := s.enter(ctx)
	if err != nil {
		return s.about(id, "store", err)
	}
	defer leave()
	return s.about(id, "store", u.chunked(ctx, first[:], r))
}

// enter takes one of the places of large uploads.
func (s *Store) enter(ctx context.Context) (leave func(), err error) {
	leave = func() {
		s.uploading.Add(-1)
		<-s.uploads
	}
	select {
	case s.uploads <- struct{}{}:
		s.uploading.Add(1)
		return leave, nil
	default:
	}
	timer := time.NewTimer(maxUploadWait)
	defer timer.Stop()
	select {
	case s.uploads <- struct{}{}:
		s.uploading.Add(1)
		return leave, nil
	case <-timer.C:
		return nil, &logservice.UnavailableError{Cause: errors.New("too many uploads at once"), RetryAfter: maxUploadWait}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.stop:
		return nil, errClosed
	}
}

// upload is one call of Put, used by its goroutine alone.
type upload struct {
	store *Store
	key   []byte
	info  logs.BlobInfo

	generation uint64
	chunks     uint32 // in groups, those of pending included
	pending    *op    // the group that the writer has, nil for none
	started    bool   // a group has gone to the writer
	spare      *group // free for the next group
}

// group is chunks for one transaction.
type group struct {
	keys [][]byte
	ends []int
	data []byte // the chunks, as stored, one after the other
}

// inline stores raw, at most chunkSize bytes, within the record if it gets
// small enough. raw may be reused when it returns.
func (u *upload) inline(ctx context.Context, raw []byte) error {
	rec := record{info: u.info, inline: raw}
	if !u.info.Archive && len(raw) > 0 {
		rec.inline, rec.encoding = u.store.zip.shrink(nil, raw)
	}
	return u.publish(ctx, rec, nil)
}

// chunked stores head and what r yields after it.
func (u *upload) chunked(ctx context.Context, head []byte, r io.Reader) (err error) {
	buf := u.store.buffers.get()
	defer u.store.buffers.put(buf)
	n := copy(buf[:], head)
	more, err := fill(r, buf[n:])
	if err != nil {
		return err
	}
	n += more
	u.info.Size = int64(n)

	defer func() {
		if err != nil {
			u.abort()
		}
	}()
	u.generation = u.store.generation.Add(1)
	g := &group{}
	for {
		u.add(g, buf[:n])
		if n < len(buf) {
			break
		}
		if n, err = fill(r, buf[:]); err != nil {
			return err
		}
		if u.info.Size += int64(n); n == 0 {
			break
		}
		if len(g.data) >= u.store.groupSize() {
			if g, err = u.flush(ctx, g); err != nil {
				return err
			}
		}
	}
	return u.finish(ctx, g)
}

// finish makes the blob visible, with the last group in the same transaction.
func (u *upload) finish(ctx context.Context, g *group) error {
	if err := u.await(); err != nil {
		return err
	}
	rec := record{info: u.info, generation: u.generation}
	if u.chunks == 1 && len(g.data) <= chunkHeader+inlineSize {
		rec.generation = 0
		rec.encoding, rec.inline = g.data[4], g.data[chunkHeader:]
		g = nil
	}
	return u.publish(ctx, rec, g)
}

// add appends a chunk of raw bytes to g. Archives are compressed already.
func (u *upload) add(g *group, raw []byte) {
	at := len(g.data)
	encoding := byte(encodingRaw)
	g.data = append(g.data, make([]byte, chunkHeader)...)
	if u.info.Archive {
		g.data = append(g.data, raw...)
	} else {
		g.data, encoding = u.store.zip.shrink(g.data, raw)
	}
	key := chunkKey(u.generation, u.chunks)
	sealChunk(key, g.data[at:], encoding)
	g.keys = append(g.keys, key)
	g.ends = append(g.ends, len(g.data))
	u.chunks++
}

// put writes the chunks of g.
func (g *group) put(tx *bbolt.Tx) error {
	b := tx.Bucket(bucketChunks)
	at := 0
	for i, key := range g.keys {
		if err := b.Put(key, g.data[at:g.ends[i]]); err != nil {
			return err
		}
		at = g.ends[i]
	}
	return nil
}

// flush gives g to the writer, after the group before it is durable, and
// returns an empty one.
func (u *upload) flush(ctx context.Context, g *group) (*group, error) {
	if err := u.await(); err != nil {
		return nil, err
	}
	err := u.store.room(len(g.data), reserve)
	if err != nil {
		return nil, err
	}
	first := !u.started
	u.pending, err = u.store.start(ctx, len(g.data), func(tx *bbolt.Tx) error {
		if first {
			// Until the blob is published, its chunks are what a crash
			// leaves behind.
			if err := tx.Bucket(bucketGarbage).Put(generationKey(u.generation), nil); err != nil {
				return err
			}
		}
		return g.put(tx)
	})
	if err != nil {
		return nil, err
	}
	u.started = true
	next := u.spare
	if next == nil {
		next = &group{}
	}
	u.spare = g
	return next.reset(), nil
}

func (g *group) reset() *group {
	g.keys, g.ends, g.data = g.keys[:0], g.ends[:0], g.data[:0]
	return g
}

// await waits for the group that the writer has.
func (u *upload) await() error {
	if u.pending == nil {
		return nil
	}
	err := u.store.wait(u.pending)
	u.pending = nil
	return err
}

// publish puts the record in place of an older one, together with the last
// chunks of the blob, g (nil: none).
func (u *upload) publish(ctx context.Context, rec record, g *group) error {
	s := u.store
	rec.info.Modified = time.Now()
	value := rec.encode(u.key)
	size, spare := len(value), reserve/2
	if g != nil {
		size, spare = size+len(g.data), reserve
	}
	err := s.room(size, spare)
	if err != nil {
		return err
	}
	var old uint64
	err = s.submit(ctx, size, func(tx *bbolt.Tx) error {
		var err error
		if old, err = s.unlink(tx, u.key); err != nil {
			return err
		}
		if g != nil {
			if err := g.put(tx); err != nil {
				return err
			}
		}
		if u.started {
			if err := tx.Bucket(bucketGarbage).Delete(generationKey(u.generation)); err != nil {
				return err
			}
		}
		return tx.Bucket(bucketBlobs).Put(u.key, value)
	})
	if err == nil {
		s.garbage.add(old)
	}
	return err
}

// abort gives what was written to the sweeper.
func (u *upload) abort() {
	_ = u.await() // the error that ended the upload is the one to tell
	if u.started {
		u.store.garbage.add(u.generation)
	}
}

// groupSize is an upload's share of groupBudget.
func (s *Store) groupSize() int {
	return min(maxBatchBytes, groupBudget/int(max(1, s.uploading.Load())))
}

// fill reads until p is full or r ends, which is no error.
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
