package s3

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

const (
	// partMemory is the memory budget of all uploads together.
	partMemory = 128 << 20
	// memoryWait is how long an upload waits for memory.
	memoryWait = 8 * time.Second
	// maxParts is how many parts S3 allows per object: 156 GiB of the largest.
	maxParts = 10_000
	// abortTime limits the cleanup of a failed upload, within the 10 s of a
	// stop.
	abortTime = 2 * time.Second
	// maxOrphans limits the uploads that are remembered to be aborted later.
	maxOrphans = 1000
	// maxEmptyReads is how often in a row a reader may return nothing.
	maxEmptyReads = 100
)

// partSizes are the sizes to which an upload grows its buffer while there is
// more to read. What fits is stored with one request; 5 MiB is the smallest
// part that S3 accepts.
var partSizes = []int{64 << 10, 512 << 10, 5 << 20, 16 << 20}

// Put stores a blob; see logs.Store.
func (s *Store) Put(ctx context.Context, id logservice.ID, r io.Reader, info logs.BlobInfo) error {
	return s.PutIndexed(ctx, id, r, info, nil)
}

// PutIndexed stores a blob with an index; see logs.Indexer.
func (s *Store) PutIndexed(ctx context.Context, id logservice.ID, r io.Reader, info logs.BlobInfo, index func() []byte) error {
	name, cut, err := s.name(id, info.Attempt)
	if err != nil {
		return err
	}
	u := &upload{store: s, ctx: ctx, name: name, index: index}
	defer u.release()
	u.options = minio.PutObjectOptions{ContentType: contentType, DisableContentSha256: true, UserMetadata: metadata(info, "")}
	if cut {
		u.options.UserMetadata = metadata(info, id.Key)
	}
	if info.Archive && !info.Plain {
		u.options.ContentEncoding = archiveZstd
	}
	ended, err := u.first(r)
	if err == nil && ended {
		err = u.single()
	} else if err == nil {
		err = u.multipart(r)
	}
	if err == nil {
		s.abortOrphans(ctx)
	}
	return err
}

// upload is one Put.
type upload struct {
	store   *Store
	ctx     context.Context
	name    string
	options minio.PutObjectOptions
	index   func() []byte // nil: none
	part    []byte        // the filled part of the buffer
	held    int64         // of the budget
}

// first fills the growing buffer; ended reports that r has ended.
func (u *upload) first(r io.Reader) (ended bool, err error) {
	for i, size := range partSizes {
		if ok, err := u.grow(size, i == len(partSizes)-1); err != nil || !ok {
			return false, err
		}
		if ended, err = u.fill(r); err != nil || ended {
			return ended, err
		}
	}
	return false, nil
}

// grow enlarges the buffer. An optional growth is skipped if others have the
// memory.
func (u *upload) grow(size int, optional bool) (ok bool, err error) {
	more := int64(size) - u.held
	if !u.store.memory.TryAcquire(more) {
		if optional {
			return false, nil
		}
		ctx, cancel := context.WithTimeout(u.ctx, memoryWait)
		defer cancel()
		if err := u.store.memory.Acquire(ctx, more); err != nil {
			if cause := context.Cause(u.ctx); cause != nil {
				return false, cause
			}
			return false, &logservice.UnavailableError{Cause: errors.New("too many uploads at once"), RetryAfter: time.Second}
		}
	}
	u.held += more
	u.part = append(make([]byte, 0, size), u.part...)
	return true, nil
}

func (u *upload) release() {
	u.part = nil
	u.store.memory.Release(u.held)
}

// fill reads until the buffer is full or r ends. An error of r is never treated
// as its end.
func (u *upload) fill(r io.Reader) (ended bool, err error) {
	for empty := 0; len(u.part) < cap(u.part); {
		n, err := r.Read(u.part[len(u.part):cap(u.part)])
		u.part = u.part[:len(u.part)+n]
		switch {
		case errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
			return true, nil
		case err != nil:
			return false, err
		case n > 0:
			empty = 0
		default:
			if empty++; empty > maxEmptyReads {
				return false, io.ErrNoProgress
			}
		}
	}
	return false, nil
}

// single stores what is in the buffer.
func (u *upload) single() error {
	if u.index != nil {
		if index := u.index(); !addIndex(u.options.UserMetadata, index) {
			if err := u.putIndex(u.newIndexID(), index); err != nil {
				return err
			}
		}
	}
	return u.put(u.name, u.part, u.options)
}

func (u *upload) put(name string, content []byte, o minio.PutObjectOptions) error {
	for k, v := range u.store.checksumOf(content) {
		o.UserMetadata[k] = v[0] // the client sends x-amz-… unchanged
	}
	sum := sha256.Sum256(content)
	ctx, cancel := context.WithTimeout(u.ctx, sendTime(len(content)))
	defer cancel()
	_, err := u.store.client.PutObject(ctx, u.store.bucket, name, bytes.NewReader(content), int64(len(content)), "", hex.EncodeToString(sum[:]), o)
	return u.store.fault(u.ctx, "upload", err)
}

// sendTime limits how long the store may take for n bytes: a store slower than
// 1 MiB/s is unsuitable for logs.
func sendTime(n int) time.Duration {
	return answerTime + time.Duration(n)*time.Second/(1<<20)
}

// newIndexID links an object with its index in another object: an index of an
// older or newer object of that name is not used.
func (u *upload) newIndexID() string {
	id := rand.Text()
	u.options.UserMetadata[metaIndexID] = id
	return id
}

func (u *upload) putIndex(id string, index []byte) error {
	return u.put(indexOf(u.name), index, minio.PutObjectOptions{
		DisableContentSha256: true, UserMetadata: map[string]string{metaIndexID: id},
	})
}

// checksumOf returns the header with a CRC-32C, if Checksum is set.
func (s *Store) checksumOf(content []byte) http.Header {
	if !s.checksum {
		return nil
	}
	sum := crc32.Checksum(content, crc32.MakeTable(crc32.Castagnoli))
	return http.Header{"X-Amz-Checksum-Crc32c": {base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))}}
}

// multipart stores the buffer and the rest of r.
func (u *upload) multipart(r io.Reader) (err error) {
	s := u.store
	var indexID string
	if u.index != nil {
		indexID = u.newIndexID()
	}
	begin := u.options
	if s.checksum {
		begin.UserMetadata = map[string]string{"x-amz-checksum-algorithm": "CRC32C"}
		for k, v := range u.options.UserMetadata {
			begin.UserMetadata[k] = v
		}
	}
	limited, cancel := context.WithTimeout(u.ctx, answerTime)
	defer cancel()
	uploadID, err := s.client.NewMultipartUpload(limited, s.bucket, u.name, begin)
	if err != nil {
		return s.fault(u.ctx, "begin an upload", err)
	}
	defer func() {
		if err != nil {
			s.abort(orphan{u.name, uploadID})
		}
	}()
	parts, err := u.sendParts(r, uploadID)
	if err != nil {
		return err
	}
	if u.index != nil {
		if err := u.putIndex(indexID, u.index()); err != nil {
			return err
		}
	}
	_, err = s.client.CompleteMultipartUpload(u.ctx, s.bucket, u.name, uploadID, parts, minio.PutObjectOptions{})
	return s.fault(u.ctx, "complete an upload", err)
}

func (u *upload) sendParts(r io.Reader, uploadID string) (parts []minio.CompletePart, err error) {
	for ended := false; len(u.part) > 0; {
		if len(parts) == maxParts {
			return nil, logservice.Errorf(logservice.ErrTooLarge, "a log of more than %d bytes is too large for the object store", int64(maxParts)*int64(cap(u.part)))
		}
		n := len(parts) + 1
		sum := sha256.Sum256(u.part)
		ctx, cancel := context.WithTimeout(u.ctx, sendTime(len(u.part)))
		p, err := u.store.client.PutObjectPart(ctx, u.store.bucket, u.name, uploadID, n, bytes.NewReader(u.part), int64(len(u.part)),
			minio.PutObjectPartOptions{Sha256Hex: hex.EncodeToString(sum[:]), DisableContentSha256: true, CustomHeader: u.store.checksumOf(u.part)})
		cancel()
		if err != nil {
			return nil, u.store.fault(u.ctx, "upload a part", err)
		}
		parts = append(parts, minio.CompletePart{PartNumber: n, ETag: p.ETag, ChecksumCRC32C: p.ChecksumCRC32C})
		u.part = u.part[:0]
		if ended {
			break
		}
		if ended, err = u.fill(r); err != nil {
			return nil, err
		}
	}
	return parts, nil
}

// orphan is an unwanted upload: its parts would remain, and be billed, until it
// is aborted.
type orphan struct{ name, uploadID string }

// abort ends a failed upload, whatever the cause. If it fails, the next
// successful upload repeats it.
func (s *Store) abort(o orphan) {
	ctx, cancel := context.WithTimeout(context.Background(), abortTime)
	defer cancel()
	err := s.client.AbortMultipartUpload(ctx, s.bucket, o.name, o.uploadID)
	if err == nil || minio.ToErrorResponse(err).Code == minio.NoSuchUpload {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.orphans) < maxOrphans {
		s.orphans = append(s.orphans, o)
	}
}

// abortOrphans repeats aborts that failed.
func (s *Store) abortOrphans(ctx context.Context) {
	s.mu.Lock()
	orphans := s.orphans
	s.orphans = nil
	s.mu.Unlock()
	for i, o := range orphans {
		if ctx.Err() != nil {
			s.mu.Lock()
			s.orphans = append(s.orphans, orphans[i:]...)
			s.mu.Unlock()
			return
		}
		s.abort(o)
	}
}
