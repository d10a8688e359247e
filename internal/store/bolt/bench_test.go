package bolt

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/storetest"
)

const benchBlob = 128 << 20

// repeatReader yields n bytes of part over and over.
type repeatReader struct {
	part []byte
	at   int
	n    int64
}

func (r *repeatReader) Read(p []byte) (int, error) {
	if r.n <= 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), r.n)], r.part[r.at:])
	r.at = (r.at + n) % len(r.part)
	r.n -= int64(n)
	return n, nil
}

func contents() map[string][]byte {
	return map[string][]byte{"log": storetest.Text(16<<20 + 7), "noise": storetest.Noise(16<<20 + 7)}
}

// BenchmarkUpload reports, beside the rate, its ratio to bare bbolt: the same
// bytes put raw in chunks of the same size, 4 MiB a transaction.
func BenchmarkUpload(b *testing.B) {
	for name, part := range contents() {
		b.Run(name, func(b *testing.B) {
			s := openStore(b, dataFile(b))
			db := bareBolt(b)
			b.SetBytes(benchBlob)
			var ours, bare time.Duration
			for b.Loop() {
				start := time.Now()
				if err := s.Put(b.Context(), storetest.ID("acc", "big"), &repeatReader{part: part, n: benchBlob}, logs.BlobInfo{Archive: name == "noise"}); err != nil {
					b.Fatal(err)
				}
				ours += time.Since(start)
				start = time.Now()
				bareUpload(b, db, &repeatReader{part: part, n: benchBlob})
				bare += time.Since(start)
			}
			reportRates(b, benchBlob, ours, bare)
		})
	}
}

func BenchmarkDownload(b *testing.B) {
	for name, part := range contents() {
		b.Run(name, func(b *testing.B) {
			s := openStore(b, dataFile(b))
			db := bareBolt(b)
			id := storetest.ID("acc", "big")
			if err := s.Put(b.Context(), id, &repeatReader{part: part, n: benchBlob}, logs.BlobInfo{Archive: name == "noise"}); err != nil {
				b.Fatal(err)
			}
			bareUpload(b, db, &repeatReader{part: part, n: benchBlob})
			b.SetBytes(benchBlob)
			var ours, bare time.Duration
			for b.Loop() {
				start := time.Now()
				if n := download(b, s, id, io.Discard); n != benchBlob {
					b.Fatalf("%d bytes", n)
				}
				ours += time.Since(start)
				start = time.Now()
				bareDownload(b, db)
				bare += time.Since(start)
			}
			reportRates(b, benchBlob, ours, bare)
		})
	}
}

// BenchmarkSmallPuts stores archives of 2 KiB, which are inline, and of 32
// KiB, which are not, from 16 goroutines; the reference is bare bbolt with one
// durable transaction for each.
func BenchmarkSmallPuts(b *testing.B) {
	for _, size := range []int{2 << 10, 32 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) { benchmarkPuts(b, storetest.Noise(size)) })
	}
}

func benchmarkPuts(b *testing.B, content []byte) {
	path := dataFile(b)
	s := openStore(b, path)
	db := bareBolt(b)
	var n atomic.Int64
	b.SetParallelism(8) // of 2 processors: 16
	start := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := storetest.ID("acc", fmt.Sprintf("p/%08d", n.Add(1)))
			if err := s.Put(b.Context(), id, bytes.NewReader(content), logs.BlobInfo{Archive: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
	ours := float64(n.Load()) / time.Since(start).Seconds()
	const bareN = 200
	start = time.Now()
	for i := range bareN {
		err := db.Update(func(tx *bbolt.Tx) error {
			return tx.Bucket(bucketChunks).Put(chunkKey(1, uint32(i)), content)
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	bare := bareN / time.Since(start).Seconds()
	b.ReportMetric(ours, "puts/s")
	b.ReportMetric(ours/bare, "x-bare")
	b.ReportMetric(float64(onDisk(b, filepath.Dir(path)))/float64(n.Load()), "disk-B/put")
}

// onDisk is what a folder takes on the disk.
func onDisk(t testing.TB, dir string) (n int64) {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "du", "-s", "-k", dir).Output()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscan(string(out), &n); err != nil {
		t.Fatal(err)
	}
	return n << 10
}

func reportRates(b *testing.B, size int64, ours, bare time.Duration) {
	b.ReportMetric(float64(size)*float64(b.N)/ours.Seconds()/1e6, "store-MB/s")
	b.ReportMetric(float64(size)*float64(b.N)/bare.Seconds()/1e6, "bare-MB/s")
	b.ReportMetric(bare.Seconds()/ours.Seconds(), "x-bare")
	b.ReportMetric(0, "ns/op")
}

func download(t testing.TB, s *Store, id logservice.ID, w io.Writer) int64 {
	t.Helper()
	blob, err := s.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = blob.Close() }()
	r, err := blob.Range(t.Context(), 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	n, err := io.Copy(w, r)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func bareBolt(b *testing.B) *bbolt.DB {
	db, err := bbolt.Open(filepath.Join(b.TempDir(), "bare.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType, InitialMmapSize: mapSize})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = db.Close() })
	if err := db.Update(func(tx *bbolt.Tx) error { _, err := tx.CreateBucket(bucketChunks); return err }); err != nil {
		b.Fatal(err)
	}
	return db
}

func bareUpload(b *testing.B, db *bbolt.DB, r io.Reader) {
	for n, more := uint32(0), true; more; {
		err := db.Update(func(tx *bbolt.Tx) error {
			for range (4 << 20) / chunkSize {
				buf := make([]byte, chunkSize)
				m, err := io.ReadFull(r, buf)
				if more = err == nil; m > 0 {
					if err := tx.Bucket(bucketChunks).Put(chunkKey(1, n), buf[:m]); err != nil {
						return err
					}
				}
				n++
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}

func bareDownload(b *testing.B, db *bbolt.DB) {
	buf := make([]byte, chunkSize)
	for n := uint32(0); ; n++ {
		var got int
		err := db.View(func(tx *bbolt.Tx) error {
			got = copy(buf, tx.Bucket(bucketChunks).Get(chunkKey(1, n)))
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
		if got == 0 {
			return
		}
	}
}

// BenchmarkManySmall gets and lists the records of a catalog of 128,000; the
// reference is bare bbolt on the same file.
func BenchmarkManySmall(b *testing.B) {
	const n = 128_000
	s := openStore(b, dataFile(b))
	key := func(i int) string { return fmt.Sprintf("p/%08d", i) }
	content := storetest.Noise(200)
	for at := 0; at < n; at += 4000 {
		_, err := s.update(func(tx *txn) error {
			for i := at; i < at+4000; i++ {
				id, err := blobKey(storetest.ID("acc", key(i)), 1)
				if err != nil {
					return err
				}
				rec := record{info: logs.BlobInfo{Size: int64(len(content)), Archive: true}, inline: content}
				if err := tx.put(bucketBlobs, id, rec.encode(id)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	i := 0
	next := func() logservice.ID { i = (i + 7919) % n; return storetest.ID("acc", key(i)) }
	b.Run("get", func(b *testing.B) {
		for b.Loop() {
			blob, err := s.Get(b.Context(), next())
			if err != nil {
				b.Fatal(err)
			}
			_ = blob.Close()
		}
	})
	b.Run("get-bare", func(b *testing.B) {
		for b.Loop() {
			id, _ := blobKey(next(), 1)
			err := s.db.Load().db.View(func(tx *bbolt.Tx) error {
				_, err := decodeRecord(id, tx.Bucket(bucketBlobs).Get(id))
				return err
			})
			if err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			found := 0
			for _, err := range s.List(b.Context(), "acc", "") {
				if found++; err != nil {
					b.Fatal(err)
				}
			}
			if found != n {
				b.Fatal(found)
			}
		}
	})
}
