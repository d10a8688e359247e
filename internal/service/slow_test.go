package service_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
)

// metered is a store that counts what is read from it.
type metered struct {
	logs.Store
	read, open atomic.Int64 // bytes, and ranges
}

func (s *metered) GetAttempt(ctx context.Context, id logservice.ID, attempt int64) (logs.Blob, error) {
	b, err := s.Store.GetAttempt(ctx, id, attempt)
	if err != nil {
		return nil, err
	}
	return meteredBlob{b, s}, nil
}

type meteredBlob struct {
	logs.Blob
	s *metered
}

func (b meteredBlob) Range(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	r, err := b.Blob.Range(ctx, offset, length)
	if err != nil {
		return nil, err
	}
	b.s.open.Add(1)
	return &meteredRange{r, b.s}, nil
}

type meteredRange struct {
	io.ReadCloser
	s *metered
}

func (r *meteredRange) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	r.s.read.Add(int64(n))
	return n, err
}

func (r *meteredRange) Close() error {
	r.s.open.Add(-1)
	return r.ReadCloser.Close()
}

// packedForms are a log as clients upload it.
func packedForms(t *testing.T, lines []byte) map[string][]byte {
	t.Helper()
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	if _, err := z.Write(lines); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	e, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"lines": lines, "gzip": zipped.Bytes(), "zstd": e.EncodeAll(lines, nil)}
}

// step is how many lines a slow reader takes at a time.
const step = 600

// takes is a reader that takes step lines of what Next returns and returns
// these; none: it is at the end.
func takes(t *testing.T, c logs.Reader) []byte {
	t.Helper()
	batches, err := c.Next(t.Context())
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	b := batches[0]
	if b.Count <= step {
		c.Ready()
		return b.Data
	}
	had := b.Data[:len(b.Data)-len(b.From(b.First+step).Data)]
	had = bytes.Clone(had)
	c.Rewind(b.First + step - 1)
	c.Ready()
	return had
}

func TestASlowReaderOfAnUploadReadsItOnce(t *testing.T) {
	const count = 6_000
	store := &metered{}
	r := newRig(t, func(c *service.Config) { store.Store, c.Store = c.Store, store })
	want := jsonLines(0, count)
	for name, data := range packedForms(t, want) {
		id := logservice.ID{Account: "acme", Key: logservice.Key(name)}
		r.must(r.PutBlob(t.Context(), id, bytes.NewReader(data), false))
		c, _, err := r.Follow(t.Context(), id, past(0))
		r.must(err)
		store.read.Store(0)
		var got []byte
		for part := takes(t, c); part != nil; part = takes(t, c) {
			got = append(got, part...)
		}
		c.Close()
		if !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes of %d", name, len(got), len(want))
		}
		if n := store.read.Load(); n > int64(len(data)) {
			t.Errorf("%s: %d bytes of it were read, it has %d", name, n, len(data))
		}
	}
	if n := store.open.Load(); n != 0 {
		t.Errorf("%d parts of the store are left open", n)
	}
}

func TestReadersThatWaitForTheirPeersHoldLittleTogether(t *testing.T) {
	const readers, count, most = 20, 3_000, 16
	store := &metered{}
	r := newRig(t, func(c *service.Config) { store.Store, c.Store = c.Store, store })
	want := jsonLines(0, count)
	forms := packedForms(t, want)
	for name, data := range forms {
		r.must(r.PutBlob(t.Context(), logservice.ID{Account: "acme", Key: logservice.Key(name)}, bytes.NewReader(data), false))
	}
	forms["archived"] = nil
	streamed := logservice.ID{Account: "acme", Key: "archived"}
	r.write(streamed, count)
	r.must(r.Close(t.Context(), streamed, logs.ArchiveAlways))
	for name := range forms {
		id := logservice.ID{Account: "acme", Key: logservice.Key(name)}
		var all [readers]logs.Reader
		var got [readers][]byte
		for i := range all {
			c, _, err := r.Follow(t.Context(), id, past(0))
			r.must(err)
			all[i] = c
		}
		if n := store.open.Load(); n != 0 {
			t.Errorf("%s: readers that have read nothing hold %d parts of the store", name, n)
		}
		for left := readers; left > 0; {
			left = 0
			for i, c := range all {
				if part := takes(t, c); part != nil {
					got[i] = append(got[i], part...)
					left++
				}
			}
			if n := store.open.Load(); n > min(int64(left), most) {
				t.Fatalf("%s: %d waiting readers hold %d parts of the store", name, left, n)
			}
		}
		for i, c := range all {
			c.Close()
			if !bytes.Equal(got[i], want) {
				t.Fatalf("%s: a reader has %d bytes of %d", name, len(got[i]), len(want))
			}
		}
	}
	if n := store.open.Load(); n != 0 {
		t.Errorf("%d parts of the store are left open", n)
	}
}
