package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// putAll stores n small blobs from 16 goroutines; blob i has i%50 bytes.
func putAll(t *testing.T, s logs.Store, n int, id func(int) logservice.ID) {
	t.Helper()
	var next atomic.Int64
	var workers errgroup.Group
	for range 16 {
		workers.Go(func() error {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return nil
				}
				if err := s.Put(t.Context(), id(i), bytes.NewReader(Text(i%50)), logs.BlobInfo{}); err != nil {
					return err
				}
			}
		})
	}
	if err := workers.Wait(); err != nil {
		t.Fatal(err)
	}
}

func manyPuts(t *testing.T, s logs.Store) {
	n := 400
	if Long() {
		n = 1000
	}
	id := func(i int) logservice.ID { return ID(fmt.Sprintf("acc%d", i%7), fmt.Sprintf("%d/log", i)) }
	putAll(t, s, n, id)
	for i := range n {
		mustHold(t, s, id(i), Text(i%50))
	}
}

func outlives(t *testing.T, s logs.Store) {
	for _, size := range []int{100, 6<<20 + 5} {
		id := ID("acc", "log")
		first, second := Noise(size), Text(size+1)
		mustPut(t, s, id, first, logs.BlobInfo{})
		b1 := mustGet(t, s, id)
		r, err := b1.Range(t.Context(), 0, -1) // opened before, read after
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 10)
		if _, err := io.ReadFull(r, head); err != nil {
			t.Fatal(err)
		}
		mustPut(t, s, id, second, logs.BlobInfo{})
		b2 := mustGet(t, s, id)
		if err := s.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		// Give a store that deletes in the background some work to do.
		mustPut(t, s, ID("acc", "other"), Noise(2*chunk), logs.BlobInfo{})
		mustPut(t, s, ID("acc", "other"), Noise(2*chunk), logs.BlobInfo{})

		rest, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(append(head, rest...), first) {
			t.Fatalf("the reader of the replaced blob got %d bytes, %v", len(rest)+10, err)
		}
		if got := readRange(t, b2, 0, -1); !bytes.Equal(got, second) {
			t.Fatalf("the deleted blob reads as %d bytes, want %d or other bytes", len(got), len(second))
		}
		for range 2 {
			if err := errors.Join(r.Close(), b1.Close(), b2.Close()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := b1.Range(t.Context(), 0, 1); err == nil {
			t.Error("Range after Close: no error")
		}
		if _, err := r.Read(head); err == nil || err == io.EOF {
			t.Errorf("Read after Close: %v, want an error", err)
		}
	}
}

// endsOrOutlives is outlives for a store that cannot keep replaced blobs: their
// readers get an error, never other bytes.
func endsOrOutlives(t *testing.T, s logs.Store) {
	for _, size := range []int{100, 6<<20 + 5} {
		id := ID("acc", "log")
		first := Noise(size)
		mustPut(t, s, id, first, logs.BlobInfo{})
		old := mustGet(t, s, id)
		r, err := old.Range(t.Context(), 0, -1) // opened before, read after
		if err != nil {
			t.Fatal(err)
		}
		mustPut(t, s, id, Text(size), logs.BlobInfo{})
		got, err := io.ReadAll(r)
		if !bytes.Equal(got, first[:len(got)]) || err == nil && len(got) < len(first) {
			t.Fatalf("the reader of the replaced blob got %d bytes that are not its, or too few: %v", len(got), err)
		}
		if _, err := old.Range(t.Context(), 1, -1); !ended(err) {
			t.Errorf("Range of the replaced blob: %v", err)
		}
		if err := s.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		if _, err := old.Range(t.Context(), 0, -1); !ended(err) {
			t.Errorf("Range of the deleted blob: %v", err)
		}
		for range 2 {
			if err := errors.Join(r.Close(), old.Close()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := old.Range(t.Context(), 0, 1); err == nil {
			t.Error("Range after Close: no error")
		}
		if _, err := r.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Errorf("Read after Close: %v, want an error", err)
		}
	}
}

// ended reports whether err is one that readers of a replaced blob may get.
func ended(err error) bool {
	return errors.Is(err, logservice.ErrUnavailable) || errors.Is(err, logservice.ErrBlobNotFound)
}

func parallelRanges(t *testing.T, s logs.Store) {
	want := Text(4*chunk + 7)
	mustPut(t, s, ID("acc", "log"), want, logs.BlobInfo{})
	b := mustGet(t, s, ID("acc", "log"))
	var readers errgroup.Group
	for i := range 8 {
		readers.Go(func() error {
			from := i * len(want) / 10
			r, err := b.Range(t.Context(), int64(from), -1)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			got, err := io.ReadAll(r)
			if err == nil && !bytes.Equal(got, want[from:]) {
				err = fmt.Errorf("reader %d got other bytes", i)
			}
			return err
		})
	}
	if err := readers.Wait(); err != nil {
		t.Fatal(err)
	}
}

// neverMixed replaces and deletes a blob while readers check that each blob
// they open is consistent.
func neverMixed(t *testing.T, s logs.Store) { mixing(t, s, func(err error) error { return err }) }

func neverMixedUnlessEnded(t *testing.T, s logs.Store) {
	mixing(t, s, func(err error) error {
		if ended(err) {
			return nil
		}
		return err
	})
}

func mixing(t *testing.T, s logs.Store, wrong func(error) error) {
	id := ID("acc", "log")
	version := func(v int) []byte { return bytes.Repeat([]byte{byte(v)}, 100+(v%3)*chunk) }
	var stop atomic.Bool
	var all errgroup.Group
	all.Go(func() error {
		defer stop.Store(true)
		for v := range 60 {
			if err := s.Put(t.Context(), id, bytes.NewReader(version(v)), logs.BlobInfo{}); err != nil {
				return err
			}
			if v%10 == 9 {
				if err := s.Delete(t.Context(), id); err != nil {
					return err
				}
			}
		}
		return nil
	})
	for range 4 {
		all.Go(func() error {
			for !stop.Load() {
				if err := wrong(checkWhole(t, s, id, version)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
}

func checkWhole(t *testing.T, s logs.Store, id logservice.ID, version func(int) []byte) error {
	b, err := s.Get(t.Context(), id)
	if errors.Is(err, logservice.ErrBlobNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	r, err := b.Range(t.Context(), 0, -1)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	got, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if len(got) == 0 || int64(len(got)) != b.Info().Size || !bytes.Equal(got, version(int(got[0]))) {
		return fmt.Errorf("a blob of %d bytes is not of one piece", len(got))
	}
	return nil
}
