package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/klauspost/compress/zstd"
	bolt "go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/harness/log-service/bench/load"
	"github.com/harness/log-service/bench/report"
)

// The measures below call libraries and the kernel in this process: what the
// disk and the formats cost without any server.

// syncLoop appends groups of size bytes to a preallocated file and syncs each,
// as a write-ahead log at its best would.
func syncLoop(lines int) measure {
	return func(ctx context.Context, e *env) (report.Metrics, error) {
		group := load.NewBatch(load.NewBuildLog(load.TextSeed), "", "", lines, false)
		data := group.Request[len(group.Request)-group.Body:]
		f, err := os.Create(filepath.Join(e.dir, "sync"))
		if err != nil {
			return nil, err
		}
		defer f.Close()
		const n = 500
		if err := unix.Fallocate(int(f.Fd()), 0, 0, int64(n*len(data))); err != nil {
			return nil, fmt.Errorf("preallocate: %w", err)
		}
		times, begin := new(load.Histogram), time.Now()
		for range n {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			at := time.Now()
			_, err := f.Write(data)
			if err = errors.Join(err, unix.Fdatasync(int(f.Fd()))); err != nil {
				return nil, fmt.Errorf("fdatasync: %w", err)
			}
			times.Add(time.Since(at))
		}
		m := report.Metrics{"lines_per_s": float64(n*lines) / time.Since(begin).Seconds()}
		m.Latency("", times)
		return m, nil
	}
}

// compressing makes zstd frames of as many lines as closing archives, and
// keeps none.
func compressing(ctx context.Context, e *env) (report.Metrics, error) {
	r := load.NewRawLog(190 * 100_000)
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	at := time.Now()
	size, err := load.Compressed(raw, zstd.SpeedFastest)
	if err != nil {
		return nil, err
	}
	return report.Metrics{
		"lines_per_s":   float64(load.CountLines(raw)) / time.Since(at).Seconds(),
		"archive_share": float64(size) / float64(len(raw)),
	}, nil
}

// boltCalls puts a blob into a bbolt file in chunks, sixteen per transaction,
// and reads it back.
func boltCalls(ctx context.Context, e *env) (report.Metrics, error) {
	size := int64(e.n)
	db, err := bolt.Open(filepath.Join(e.dir, "bare.db"), 0o600, nil)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	body, at := load.NewRawLog(size), time.Now()
	chunks := 0
	for err == nil {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		err = db.Update(func(tx *bolt.Tx) error { return putChunks(tx, body, &chunks) })
	}
	if !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("bolt: %w", err)
	}
	m := report.Metrics{"up_mb_per_s": float64(size) / 1e6 / time.Since(at).Seconds()}
	at = time.Now()
	var got int64
	out := make([]byte, boltChunk)
	err = db.View(func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("b")).ForEach(func(_, v []byte) error {
			got += int64(copy(out, v))
			return nil
		})
	})
	if err != nil || got != size {
		return nil, fmt.Errorf("bolt gave %d bytes of %d: %w", got, size, err)
	}
	m["down_mb_per_s"] = float64(size) / 1e6 / time.Since(at).Seconds()
	return m, nil
}

const boltChunk = 1_000_000

// putChunks stores the next chunks of body. At its end it commits nothing
// more and returns io.EOF.
func putChunks(tx *bolt.Tx, body io.Reader, chunks *int) error {
	b, err := tx.CreateBucketIfNotExists([]byte("b"))
	if err != nil {
		return err
	}
	for i := range 16 {
		chunk := make([]byte, boltChunk)
		n, err := io.ReadFull(body, chunk)
		if n == 0 && i == 0 {
			return io.EOF
		}
		if n == 0 {
			return nil
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return err
		}
		if err := b.Put(binary.BigEndian.AppendUint32(nil, uint32(*chunks)), chunk[:n]); err != nil {
			return err
		}
		*chunks++
	}
	return nil
}
