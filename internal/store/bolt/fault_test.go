//go:build linux

package bolt

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/proctest"
	"github.com/harness/log-service/internal/store/storetest"
)

// life is a scripted life of a store, and what must be in it: per key what it
// may hold (nil: nothing). After a call that was acknowledged that is one
// content, after one that failed the old or, where a sync failed, the new.
type life struct {
	t    *testing.T
	path string
	disk disk
	s    *Store
	want map[string][][]byte

	unsure  bool // a failed change may count all the same
	before  func()
	failed  int
	checked int
}

func newLife(t *testing.T, dir string, d disk) *life {
	l := &life{t: t, path: filepath.Join(dir, "blobs.db"), disk: d, want: map[string][][]byte{}, before: func() {}}
	l.open()
	return l
}

func (l *life) open() {
	var err error
	if l.s, err = Open(l.path, Options{Logger: slog.New(slog.DiscardHandler), disk: l.disk, pause: time.Millisecond}); err != nil {
		l.t.Fatal(err)
	}
	await(l.t, "reserve", l.s.reserved.Load)
}

func (l *life) close() {
	if err := l.s.Close(); err != nil && l.failed == 0 {
		l.t.Error(err)
	}
}

// change makes a call that leaves content at key, nil for nothing.
func (l *life) change(key string, content []byte, call func() error) {
	if l.want[key] == nil {
		l.want[key] = [][]byte{nil}
	}
	l.before()
	err := call()
	switch {
	case err == nil:
		l.want[key] = [][]byte{content}
		return
	case !errors.Is(err, logservice.ErrUnavailable):
		l.t.Errorf("%s: %v, want ErrUnavailable", key, err)
	}
	l.failed++
	if l.unsure {
		l.want[key] = append(l.want[key], content)
	}
	if err := untilHealthy(l.s); err != nil {
		l.t.Fatalf("no recovery after a fault: %v", err)
	}
}

func (l *life) put(key string, content []byte) {
	l.change(key, content, func() error {
		return l.s.Put(l.t.Context(), storetest.ID("acc", key), bytes.NewReader(content), logs.BlobInfo{Archive: len(content)%2 == 0})
	})
}

func (l *life) delete(key string) {
	l.change(key, nil, func() error { return l.s.Delete(l.t.Context(), storetest.ID("acc", key)) })
}

// run is the script.
func (l *life) run() {
	small, large := storetest.Text(700), storetest.Noise(2*chunkSize+9)
	l.put("small", small)
	l.put("large", large)
	l.put("log", storetest.Text(2*chunkSize+30))
	l.put("small", large) // replaced, by the other kind
	l.put("large", storetest.Noise(chunkSize+8))
	l.put("log", append(storetest.Text(2*chunkSize+30), small...)) // what appending does
	l.put("going", large)
	l.delete("going")
	l.put("back", small)
	l.delete("back")
	for range l.s.List(l.t.Context(), "acc", "") {
		l.checked++
	}
	l.put("old", storetest.Noise(chunkSize+2))
	l.change("old", nil, func() error { return l.expireOnly("old") })
	l.put("large", small)
	l.close()
	l.open()
	l.put("after", storetest.Noise(chunkSize+4))
	l.delete("log")
}

// expireOnly deletes what is older than anything but key.
func (l *life) expireOnly(key string) error {
	id := storetest.ID("acc", key)
	encoded, _ := blobKey(id, 1)
	_, err := l.s.expire(l.t.Context(), [][]byte{encoded}, time.Unix(math.MaxInt32, 0))
	return err
}

// check reads all that must be there, and what must not.
func (l *life) check(what string) {
	for key, may := range l.want {
		l.checked++
		var got []byte
		err := readBlob(l.t.Context(), l.s, key, &got)
		if errors.Is(err, logservice.ErrBlobNotFound) {
			got, err = nil, nil
		}
		ok := false
		for _, content := range may {
			ok = ok || bytes.Equal(content, got) && (content == nil) == (got == nil)
		}
		if err != nil || !ok {
			l.t.Fatalf("%s: %s holds %d bytes, %v", what, key, len(got), err)
		}
	}
	listed := 0
	for e, err := range l.s.List(l.t.Context(), "acc", "") {
		if err != nil || l.want[string(e.Key)] == nil {
			l.t.Fatalf("%s: listed %q, %v", what, e.Key, err)
		}
		listed++
	}
}

func readBlob(ctx context.Context, s *Store, key string, got *[]byte) error {
	b, err := s.Get(ctx, storetest.ID("acc", key))
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	r, err := b.Range(ctx, 0, -1)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	var buf bytes.Buffer
	_, err = buf.ReadFrom(r)
	*got = append([]byte{}, buf.Bytes()...)
	return err
}

// end checks now, after a restart, and that no file is left over: at once, or
// then where one could not be removed.
func (l *life) end(what string, left bool) {
	if err := untilHealthy(l.s); err != nil {
		l.t.Fatalf("%s: %v", what, err)
	}
	l.check(what)
	if n := len(fileNames(l.t, l.path)); n != l.large() && !left {
		l.t.Errorf("%s: %d files for %d large blobs", what, n, l.large())
	}
	l.close()
	l.open()
	l.check(what + ", after a restart")
	awaitFiles(l.t, l.path, l.large())
	l.close()
}

// large is how many blobs have a file.
func (l *life) large() (n int) {
	for key := range l.want {
		rec, err := l.s.record([]byte("acc\x00" + key))
		if err == nil && rec.file {
			n++
		}
	}
	return n
}

// TestAFaultOfABlobFileAtEveryStepLosesNothing fails each call in turn that a
// life makes for its blob files.
func TestAFaultOfABlobFileAtEveryStepLosesNothing(t *testing.T) {
	counting := &faultDisk{}
	l := newLife(t, proctest.MemoryDir(t), counting)
	counting.arm(0)
	l.run()
	steps, _ := counting.arm(0)
	l.end("no fault", false)
	tried, checked, refused, kinds := 0, 0, 0, map[string]int{}
	for i, f := range faults {
		// The quick run gives each step one of the faults.
		for step := 1; step <= steps; step++ {
			if !storetest.Long() && step%len(faults) != i {
				continue
			}
			d := &faultDisk{err: f.err, short: f.short}
			l := newLife(t, proctest.MemoryDir(t), d)
			d.arm(step)
			l.run()
			_, hit := d.arm(0)
			l.end(fmt.Sprintf("%s at step %d, %s", f.name, step, hit), hit == "remove")
			tried, checked, refused = tried+1, checked+l.checked, refused+l.failed
			kinds[hit]++
		}
	}
	t.Logf("%d faults tried at %d steps %v: %d calls refused; %d blobs checked, lost 0, back 0, half visible 0, files left over 0", tried, steps, kinds, refused, checked)
	if refused == 0 || steps < 50 {
		t.Error("no call failed: it proves nothing")
	}
}

// TestAFaultDuringAStartDoesNotPreventIt fails each call in turn of the first
// start in a folder and of a later one.
func TestAFaultDuringAStartDoesNotPreventIt(t *testing.T) {
	tried := 0
	for _, later := range []bool{false, true} {
		for i, f := range faults {
			for step, steps := 1, 1; step <= steps; step++ {
				if !storetest.Long() && step > len(faults) && step%len(faults) != i {
					continue // the quick run gives each later step one of the faults
				}
				d := &faultDisk{err: f.err, short: f.short}
				l := &life{t: t, path: filepath.Join(proctest.MemoryDir(t), "data", "blobs.db"), disk: d, want: map[string][][]byte{}, before: func() {}}
				if later {
					l.open()
					l.put("large", storetest.Noise(chunkSize))
					l.close()
					if err := os.WriteFile(l.s.blobFile(9), []byte("left by a crash"), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				d.arm(step)
				l.open()
				if err := untilHealthy(l.s); err != nil {
					t.Fatalf("%s at step %d: %v", f.name, step, err)
				}
				var hit string
				if steps, hit = d.arm(0); steps >= step && hit == "" {
					t.Fatalf("nothing failed at step %d of %d", step, steps)
				}
				l.put("next", storetest.Noise(chunkSize+1))
				if l.failed > 0 {
					t.Errorf("%s at step %d, %s: a call failed after the start", f.name, step, hit)
				}
				if hit != "remove" && hit != "names" {
					awaitFiles(t, l.path, l.large())
				}
				l.end(fmt.Sprintf("%s at step %d, %s", f.name, step, hit), hit == "remove" || hit == "names")
				tried++
			}
		}
	}
	t.Logf("%d faults of a start tried: it succeeds each time", tried)
}

// TestAFaultOfTheCatalogAtEveryChangeLosesNothing puts another file in the
// place of the catalog's handle before a change: one that takes no byte, one
// that takes all and syncs none, one that may not be written.
func TestAFaultOfTheCatalogAtEveryChangeLosesNothing(t *testing.T) {
	tried, checked, refused := 0, 0, 0
	for _, name := range []string{"/dev/full", "/dev/null", "read only"} {
		for at := 1; ; at++ {
			l := newLife(t, proctest.MemoryDir(t), system{})
			l.unsure = name == "/dev/null"
			restore := func() {}
			changes := 0
			l.before = func() {
				restore()
				restore = func() {}
				if changes++; changes == at {
					restore = breakHandle(t, l.s, name)
				}
			}
			l.run()
			if l.failed > 1 {
				t.Errorf("%s at change %d: %d calls failed, and not one", name, at, l.failed)
			}
			l.end(fmt.Sprintf("%s at change %d", name, at), l.unsure)
			tried, checked, refused = tried+1, checked+l.checked, refused+l.failed
			if at > changes {
				break
			}
		}
	}
	t.Logf("%d faults tried: %d calls refused; %d blobs checked, lost 0, back 0, half visible 0", tried, refused, checked)
	if refused < tried/2 {
		t.Error("too few calls failed: it proves nothing")
	}
}

// breakHandle replaces what the catalog's descriptor is of, and returns what undoes
// that. It does so in the writer, which may be about to close the descriptor.
func breakHandle(t *testing.T, s *Store, name string) (restore func()) {
	t.Helper()
	h, fd := s.db.Load(), 0
	replace := func(name string, flag int) error {
		f, err := os.OpenFile(name, flag, 0)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		return unix.Dup3(int(f.Fd()), fd, unix.O_CLOEXEC)
	}
	done := errors.New("no change")
	err := s.submit(t.Context(), &op{apply: func(*txn) error {
		fd = int(h.file.Fd())
		file, flag := name, os.O_RDWR
		if name == "read only" {
			file, flag = s.path, os.O_RDONLY
		}
		return cmp.Or(replace(file, flag), done)
	}})
	if !errors.Is(err, done) {
		t.Fatal(err)
	}
	if name == "/dev/null" {
		return func() {} // the store closes it
	}
	return func() {
		if s.db.Load() != h {
			return
		}
		if err := replace(s.path, os.O_RDWR); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheFileOfAnUploadInDoubtStays(t *testing.T) {
	s := openStore(t, dataFile(t))
	put(t, s, crashID, storetest.Noise(chunkSize))
	key, _ := blobKey(crashID, 1)
	s.removeUnlessKnown(key, 1) // as after a sync that failed when all was written
	mustHold(t, s, crashID, storetest.Noise(chunkSize))
	w, err := s.createBlob()
	if err != nil {
		t.Fatal(err)
	}
	s.removeUnlessKnown(key, w.generation)
	if n := len(fileNames(t, s.path)); n != 1 {
		t.Errorf("%d files, want that of the blob", n)
	}
	if err := w.file.Close(); err != nil {
		t.Fatal(err)
	}
}
