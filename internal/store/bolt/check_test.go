//go:build linux

package bolt

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/storetest"
)

// TestNoHealthyCatalogIsTakenForDamaged checks the pages after many random
// changes: a false alarm would rebuild a healthy catalog.
func TestNoHealthyCatalogIsTakenForDamaged(t *testing.T) {
	s := openStore(t, dataFile(t))
	h := s.db.Load()
	rng := rand.New(rand.NewPCG(1, 2))
	for round := range 400 {
		_, err := s.update(func(tx *txn) error {
			for range 1 + rng.IntN(60) {
				key := fmt.Appendf(nil, "acc\x00%0*d", 1+rng.IntN(200), rng.IntN(500))
				change := func() error { return tx.put(bucketBlobs, key, make([]byte, rng.IntN(300)*rng.IntN(30))) }
				if rng.IntN(10) < 4+round/50%4 {
					change = func() error { return tx.delete(bucketBlobs, key) }
				}
				if err := errors.Join(change(), tx.put(bucketFiles, generationKey(rng.Uint64N(3000)), fileThere)); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			err = checkPages(h, func() error { return nil })
		}
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
}

// flipped are the bits whose flip no checksum notices: those of the headers of
// pages, of entries, of the list of free pages and of the buckets' roots. It
// takes each in a number of steps, and all of the root of the blobs.
func flipped(t *testing.T, path string, file []byte, step int) (bits []int) {
	t.Helper()
	nth := 0
	for _, page := range usedPages(t, path) {
		at := int(page) * pageSize
		n, le := pageHeader, binary.LittleEndian
		switch count := int(le.Uint16(file[at+10:])); le.Uint16(file[at+8:]) {
		case freelistFlag:
			n += 8 * count
		case branchFlag:
			n = pageSize
		case leafFlag:
			n += 16 * count
		}
		if bytes.Contains(file[at:at+pageSize], bucketAbout) {
			n = pageSize // the buckets
			root := at + bytes.Index(file[at:], bucketBlobs) + len(bucketBlobs)
			for bit := root * 8; bit < (root+8)*8; bit++ {
				bits = append(bits, bit)
			}
		}
		for bit := at * 8; bit < (at+n)*8; bit++ {
			if nth++; nth%step == 0 {
				bits = append(bits, bit)
			}
		}
	}
	return bits
}

// TestNoFlippedReferenceIsFollowed flips each bit of the structure of a catalog
// of many pages. Where the checks of a start do not notice that, each read
// returns what was stored or reports damage, and no used page counts as free.
func TestNoFlippedReferenceIsFollowed(t *testing.T) {
	path := dataFile(t)
	s := openStore(t, path)
	storeMany(t, s, 300, 6000)
	if n, err := s.Expire(t.Context(), time.Now().Add(-24*time.Hour)); err != nil {
		t.Fatal(n, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	used := make(map[int64]bool)
	for _, page := range usedPages(t, path) {
		used[page] = true
	}
	want, err := entriesOf(path)
	if err != nil || len(want) < 100 {
		t.Fatal(len(want), err)
	}
	on, err := blobsOnPages(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	write := func(at int64, b ...byte) {
		if _, err := f.WriteAt(b, at); err != nil {
			t.Fatal(err)
		}
	}
	step := 101
	if raceEnabled { // each flip is read alone
		step = 307
	}
	if storetest.Long() {
		step = 13
	}
	atStart, atRead, harmless := 0, 0, 0
	for _, bit := range flipped(t, path, file, step) {
		write(int64(bit/8), file[bit/8]^1<<(bit%8))
		got, err := entriesOf(path)
		free, _, listed := freePages(f)
		if err != nil {
			found, _ := salvaged(t, path)
			for key := range want {
				if !found[key] && !on[int64(bit/8/pageSize)][key] && len(key) > 8 {
					t.Errorf("bit %d of page %d: %q is lost by the rebuild", bit%(8*pageSize), bit/8/pageSize, key)
				}
			}
		}
		write(int64(bit/8), file[bit/8])
		switch {
		case errors.Is(err, errPages):
			atRead++
			continue
		case err != nil:
			atStart++
			continue
		}
		harmless++
		for key, value := range got {
			if !bytes.Equal(want[key], value) {
				if _, err := decodeRecord([]byte(key), value); err == nil {
					t.Errorf("bit %d of page %d: another blob %q", bit%(8*pageSize), bit/8/pageSize, key)
				}
			}
		}
		if len(got) != len(want) {
			t.Errorf("bit %d of page %d: %d entries, want %d", bit%(8*pageSize), bit/8/pageSize, len(got), len(want))
		}
		now := make([]byte, 2*pageSize)
		if _, err := f.ReadAt(now, 0); listed != nil || err != nil {
			t.Fatal(listed, err)
		}
		if !bytes.Equal(now, file[:len(now)]) {
			write(0, file...) // the start has written: the version was damaged
			continue
		}
		for _, id := range free {
			if used[id] {
				t.Errorf("bit %d of page %d: page %d counts as free", bit%(8*pageSize), bit/8/pageSize, id)
			}
		}
	}
	t.Logf("%d flips: %d noticed by a start, %d by a read, %d without an effect", atStart+atRead+harmless, atStart, atRead, harmless)
	if atStart == 0 || atRead == 0 {
		t.Error("it proves nothing")
	}
}

// salvaged are the keys of the blobs that a rebuild finds, and the range in which
// it may miss some.
func salvaged(t *testing.T, path string) (keys map[string]bool, lost *span) {
	t.Helper()
	h, err := openBolt(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = h.db.Close() }()
	keys = make(map[string]bool)
	s := &salvage{from: h, bucket: bucketBlobs, put: func(k, _ []byte) error { keys[string(k)] = true; return nil }}
	if lost, err = s.run(); err != nil {
		t.Error(err)
	}
	return keys, lost
}

func catalogAt(path string) *catalog {
	r := &volume{log: slog.New(slog.DiscardHandler), disk: system{}, stop: make(chan struct{})}
	return &catalog{blobFiles: &blobFiles{volume: r}, path: path, known: true}
}

// entriesOf opens a catalog as a start does and reads the blobs' records.
func entriesOf(path string) (entries map[string][]byte, err error) {
	s := catalogAt(path)
	s.folder = filepath.Dir(path)
	if err := s.attach(); err != nil {
		return nil, errors.New(err.Error()) // a start notices it
	}
	defer func() { _ = guard(s.db.Load().db.Close) }()
	entries = make(map[string][]byte)
	err = guard(func() error {
		return s.db.Load().db.View(func(tx *bbolt.Tx) error {
			c := &txn{Tx: tx, pages: treeOf(tx, s.db.Load().file)}
			for _, name := range [][]byte{bucketBlobs, bucketFiles} {
				err := c.scan(name, nil, func(k, v []byte) bool { entries[string(k)] = bytes.Clone(v); return true })
				if err != nil {
					return err
				}
			}
			for key := range entries { // and each on its own
				name := bucketBlobs
				if len(key) == 8 {
					name = bucketFiles
				}
				if v, err := c.get(name, []byte(key)); err != nil {
					return err
				} else if v == nil {
					delete(entries, key)
				}
			}
			return nil
		})
	})
	return entries, err
}

// TestAChangeDoesNotSpreadADamagedKey flips a bit of the length of the first key
// of each leaf in turn, and then changes the catalog.
func TestAChangeDoesNotSpreadADamagedKey(t *testing.T) {
	good := dataFile(t)
	sampleFolder(t, good)
	file, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, page := range usedPages(t, good) {
		at := int(page) * pageSize
		if binary.LittleEndian.Uint16(file[at+8:]) != leafFlag || !bytes.HasPrefix(file[at+pageHeader+int(binary.LittleEndian.Uint32(file[at+pageHeader+4:])):], []byte("acc\x00")) {
			continue
		}
		tried++
		path := dataFile(t)
		bad := bytes.Clone(file)
		bad[at+pageHeader+8] ^= 1
		if err := errors.Join(os.CopyFS(filepath.Dir(path), os.DirFS(filepath.Dir(good))), os.WriteFile(path, bad, 0o600)); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, Options{Logger: slog.New(slog.DiscardHandler), pause: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 80 { // some of them meet the page
			err := s.Put(t.Context(), storetest.ID("acc", fmt.Sprintf("small/%02d", i%40)), bytes.NewReader(storetest.Text(900)), logs.BlobInfo{})
			if err != nil && !errors.Is(err, logservice.ErrUnavailable) {
				t.Fatal(err)
			}
			if err := untilHealthy(s); err != nil {
				t.Fatal(err)
			}
		}
		// As a change, so that no commit is made at the same time.
		err = s.submit(t.Context(), &op{apply: func(tx *txn) error {
			for err := range tx.Check() {
				return err
			}
			return nil
		}})
		if err != nil {
			t.Errorf("page %d: %v", page, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	if tried < 5 {
		t.Errorf("%d leaves: it proves nothing", tried)
	}
}

// TestPagesThatBecomeUnreadableDoNotEndTheProcess cuts the file of an open
// catalog: what bbolt has mapped cannot be read any more, as with a bad sector.
func TestPagesThatBecomeUnreadableDoNotEndTheProcess(t *testing.T) {
	for cut := range int64(30) {
		cut := cut * pageSize
		if cut == pageSize {
			cut += 904 // no space for the second header
		}
		path := dataFile(t)
		sampleFolder(t, path)
		s, err := Open(path, Options{Logger: slog.New(slog.DiscardHandler), pause: time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, cut); err != nil {
			t.Fatal(err)
		}
		u := &use{s: s, want: sample(), lost: make(map[string]bool)}
		if err := errors.Join(u.readAll(t.Context()), u.write(t.Context()), u.readAll(t.Context())); err != nil {
			t.Errorf("%d bytes: %v", cut, err)
		}
		if u.lost["big/noise"] || len(u.lost) == 0 && cut < 10*pageSize {
			t.Errorf("%d bytes: lost %v", cut, u.lost)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestALargeCatalogDoesNotDelayAStart has no time for the pages at Open.
func TestALargeCatalogDoesNotDelayAStart(t *testing.T) {
	path := dataFile(t)
	sampleFolder(t, path)
	s := catalogAt(path)
	s.startBy = time.Now()
	if err := s.attach(); !errors.Is(err, errStarting) || errors.Is(err, logs.ErrDamaged) || s.db.Load() != nil {
		t.Fatalf("attach: %v", err)
	}
	close(s.stop)
	s.startBy = time.Time{}
	if err := s.attach(); !errors.Is(err, errClosed) {
		t.Errorf("of a store that is being closed: %v", err)
	}
}

// TestADamagedKeyOfAFileDoesNotRemoveIt has a file that one of two buckets does
// not name.
func TestADamagedKeyOfAFileDoesNotRemoveIt(t *testing.T) {
	path := dataFile(t)
	s := openStore(t, path)
	put(t, s, crashID, storetest.Noise(chunkSize))
	if err := s.submit(t.Context(), &op{apply: func(tx *txn) error { return tx.delete(bucketFiles, generationKey(1)) }}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.blobFile(2), []byte("left by a crash"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, path)
	awaitFiles(t, path, 1)
	mustHold(t, s, crashID, storetest.Noise(chunkSize))
}

// TestADamagedVersionIsNotTakenForThatOfALaterProgram flips each bit of it.
func TestADamagedVersionIsNotTakenForThatOfALaterProgram(t *testing.T) {
	for bit := range 32 {
		path := dataFile(t)
		s := openStore(t, path)
		put(t, s, crashID, []byte("small"))
		err := s.submit(t.Context(), &op{apply: func(tx *txn) error {
			return tx.put(bucketAbout, keySchema, binary.BigEndian.AppendUint32(nil, schema^1<<bit))
		}})
		if err := errors.Join(err, s.Close()); err != nil {
			t.Fatal(err)
		}
		if s, err = Open(path, Options{Logger: slog.New(slog.DiscardHandler), pause: time.Millisecond}); err != nil {
			t.Fatalf("bit %d: %v", bit, err)
		}
		if err := untilHealthy(s); err != nil {
			t.Fatal(err)
		}
		mustHold(t, s, crashID, []byte("small"))
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
