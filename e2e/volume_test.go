//go:build linux

package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/harness/log-service/internal/proctest"
)

// volume is a server whose data folder is a small file system of its own, and
// what it has acknowledged.
type volume struct {
	t       *testing.T
	dir     string
	alone   bool // the store is elsewhere
	s       *process
	wire    *wire
	open    map[string][]string // lines of open logs
	closed  map[string][]string // of those that were closed
	uploads map[string][]byte
	rand    *rand.ChaCha8
	next    int
}

func newVolume(t *testing.T, alone bool) *volume {
	v := &volume{t: t, dir: proctest.SmallVolume(t, "72m"), alone: alone, open: map[string][]string{}, closed: map[string][]string{},
		uploads: map[string][]byte{}, rand: rand.NewChaCha8([32]byte{1})}
	addr := proctest.FreeAddr(t)
	env := []string{"LOG_SERVICE_HTTP_BIND=" + addr, "LOG_SERVICE_GRPC_BIND=off", "LOG_SERVICE_DATA=" + filepath.Join(v.dir, "data")}
	if alone {
		env = append(env, "LOG_SERVICE_BOLT_PATH="+filepath.Join(t.TempDir(), "blobs.db"))
	}
	v.s = startProcess(t, program(t), addr, t.TempDir(), env...)
	v.wire = newWire(v.s.url)
	return v
}

func (v *volume) foreign() string { return filepath.Join(v.dir, "foreign") }

// noise is text that no compression makes smaller than three quarters.
func (v *volume) noise(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	b := make([]byte, n)
	_, _ = v.rand.Read(b)
	for i := range b {
		b[i] = letters[b[i]%64]
	}
	return string(b)
}

// batch is n lines of a size, none like another.
func (v *volume) batch(n, size int) []string {
	lines := make([]string, n)
	for i := range lines {
		v.next++
		lines[i] = fmt.Sprintf(`{"pos":%d,"out":"%s\n"}`, v.next, v.noise(size))
	}
	return lines
}

func (v *volume) call(method, path, key, query string, body []byte) answer {
	v.t.Helper()
	a, err := v.wire.call(v.t.Context(), method, path, key, query, body)
	if err != nil {
		v.t.Fatalf("%s %s of %s: %v", method, path, key, err)
	}
	return a
}

// done is call for what must be done now, on the first attempt.
func (v *volume) done(method, path, key, query string, body []byte) {
	v.t.Helper()
	if a := v.call(method, path, key, query, body); a.status != http.StatusNoContent {
		v.t.Fatalf("%s %s of %s: %v", method, path, key, a)
	}
}

// taken reports whether what takes space was done. If it was not, it must have
// been refused as it should.
func (v *volume) taken(method, path, key, query string, body []byte) bool {
	v.t.Helper()
	a := v.call(method, path, key, query, body)
	if a.status == http.StatusNoContent {
		return true
	}
	if a.status != http.StatusServiceUnavailable || a.header.Get("Retry-After") == "" || !strings.Contains(string(a.body), "no space") {
		v.t.Fatalf("%s %s of %s on a full volume: %v (Retry-After %q), want 503 with the reason", method, path, key, a, a.header.Get("Retry-After"))
	}
	return false
}

func (v *volume) opens(key string) bool {
	if _, ok := v.open[key]; ok {
		return true
	}
	if !v.taken(http.MethodPost, "/stream", key, "", nil) {
		return false
	}
	v.open[key] = []string{}
	return true
}

func (v *volume) appends(key string, lines []string) bool {
	if !v.opens(key) || !v.taken(http.MethodPut, "/stream", key, "", []byte("["+strings.Join(lines, ",")+"]")) {
		return false
	}
	v.open[key] = append(v.open[key], lines...)
	return true
}

func (v *volume) upload(key string, size int) bool {
	data := []byte(v.noise(size))
	if !v.taken(http.MethodPost, "/blob", key, "", data) {
		return false
	}
	v.uploads[key] = data
	return true
}

func (v *volume) close(key string) {
	v.t.Helper()
	v.done(http.MethodDelete, "/stream", key, "", nil)
	v.closed[key] = v.open[key]
	delete(v.open, key)
}

// fill writes until nothing is taken any more, not even a little.
func (v *volume) fill(foreign bool) {
	for i := 0; ; i++ {
		if foreign && i == 20 {
			v.fillForeign()
		}
		short := fmt.Sprintf("short/%d", i)
		took := v.appends(fmt.Sprintf("long/%d", i%3), v.batch(100, 3000))
		took = v.appends(short, v.batch(100, 1000)) || took
		if i < 20 || !v.alone { // a store elsewhere does not fill
			took = v.upload(fmt.Sprintf("upload/%d", i), 200_000) || took
		}
		if _, ok := v.open[short]; ok && !v.alone { // a store elsewhere would make space
			v.close(short) // archives it if there is space, later if not
		}
		if !took {
			break
		}
	}
	v.fillRest()
	v.t.Logf("full with %d open logs, %d closed ones, %d uploads, %d lines", len(v.open), len(v.closed), len(v.uploads), v.next)
}

// fillRest writes small pieces until none is taken any more. The store has its
// own space, and its reserve.
func (v *volume) fillRest() {
	for refused := 0; refused < 20; {
		refused++
		if v.appends(fmt.Sprintf("long/%d", refused%3), v.batch(1, 5000)) || !v.alone && v.upload(fmt.Sprintf("small/%d", v.next), 5000) {
			refused = 0
		}
	}
}

// fillForeign takes all that is free.
func (v *volume) fillForeign() {
	v.t.Helper()
	f, err := os.Create(v.foreign())
	if err != nil {
		v.t.Fatal(err)
	}
	defer f.Close()
	for b := make([]byte, 4096); err == nil; {
		_, err = f.Write(b)
	}
	if !errors.Is(err, syscall.ENOSPC) {
		v.t.Fatal(err)
	}
}

// isFull is what must hold on a full volume: a refusal with its reason, and
// reads that go on.
func (v *volume) isFull() {
	v.t.Helper()
	v.fillRest() // after a restart the last segment may still have capacity
	v.ready(http.StatusServiceUnavailable, "no space")
	if a := v.call(http.MethodGet, "/healthz", "x", "", nil); a.status != http.StatusOK {
		v.t.Errorf("liveness: %v", a)
	}
	for key, lines := range v.open {
		v.reads(key, lines)
	}
	for key, lines := range v.closed {
		v.reads(key, lines)
	}
	v.checkUploads()
}

// ready waits for an answer of readiness.
func (v *volume) ready(status int, reason string) {
	v.t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(startLimit)
	for {
		a := v.call(http.MethodGet, "/ready/healthz", "x", "", nil)
		if a.status == status && strings.Contains(string(a.body), reason) {
			return
		}
		select {
		case <-tick.C:
		case <-late:
			v.t.Fatalf("readiness is %v, want %d with %q", a, status, reason)
		}
	}
}

// reads follows a log, to its last line or to its end.
func (v *volume) reads(key string, want []string) {
	v.t.Helper()
	if len(want) == 0 {
		return
	}
	var got []string
	enough := errors.New("all lines")
	tail := tailer{wire: v.wire, key: key, line: func(_ int64, json []byte) error {
		if got = append(got, string(json)); len(got) == len(want) {
			return fmt.Errorf("%w%w", enough, errEnd)
		}
		return nil
	}}
	if err := tail.run(v.t.Context()); err != nil {
		v.t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		v.t.Fatalf("%s: %d lines are read, %d were acknowledged%s", key, len(got), len(want), firstDifference(got, want))
	}
}

func (v *volume) checkUploads() {
	v.t.Helper()
	for key, want := range v.uploads {
		if a := v.call(http.MethodGet, "/blob", key, "", nil); a.status != http.StatusOK || !bytes.Equal(a.body, want) {
			v.t.Fatalf("%s: status %d, %d bytes, want %d", key, a.status, len(a.body), len(want))
		}
	}
}

// makeSpace closes and deletes through the API, on a full volume.
func (v *volume) makeSpace() {
	v.t.Helper()
	for key := range v.uploads {
		v.done(http.MethodDelete, "/blob", key, "", nil)
		delete(v.uploads, key)
	}
	for key := range v.open {
		v.close(key)
	}
	// The long logs hold most of the space, and would take it again in the archive.
	n := 0
	for key := range v.closed {
		if n++; n%2 == 0 || strings.HasPrefix(key, "long/") {
			v.done(http.MethodDelete, "/blob", key, "", nil)
			delete(v.closed, key)
			if a := v.call(http.MethodGet, "/blob", key, "", nil); a.status != http.StatusNotFound {
				v.t.Fatalf("%s after its deletion: %v", key, a)
			}
		}
	}
}

// works waits until the server takes work again, and gives it some: more than
// a reserve would hold.
func (v *volume) works() {
	v.t.Helper()
	began := time.Now()
	v.ready(http.StatusOK, "")
	v.t.Logf("ready %v after there was space again, %d MiB free", time.Since(began).Round(time.Millisecond), freeBytes(v.t, v.dir)>>20)
	if err := v.wire.open(v.t.Context(), "again"); err != nil {
		v.t.Fatal(err)
	}
	v.open["again"] = []string{}
	for range 20 {
		lines := v.batch(100, 1000)
		if _, err := v.wire.push(v.t.Context(), "again", fmt.Sprintf("offset=%d", len(v.open["again"])+1), lines); err != nil {
			v.t.Fatal(err)
		}
		v.open["again"] = append(v.open["again"], lines...)
	}
	// What waited to be archived takes its space first: clients try again.
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(startLimit); !v.upload("again/upload", 2<<20); {
		select {
		case <-tick.C:
		case <-late:
			v.t.Fatal("an upload is refused after there is space again")
		}
	}
}

// check closes what is open, and compares every archive with what was
// acknowledged.
func (v *volume) check() {
	v.t.Helper()
	lines := 0
	for key := range v.open {
		v.close(key)
	}
	for key, want := range v.closed {
		data, err := v.wire.archive(v.t.Context(), key)
		if err != nil {
			v.t.Fatal(err)
		}
		if got := archived(data); !slices.Equal(got, want) {
			v.t.Fatalf("%s: its archive has %d lines, %d were acknowledged%s", key, len(got), len(want), firstDifference(got, want))
		}
		lines += len(want)
	}
	v.checkUploads()
	if _, err := os.Stat(v.foreign()); !errors.Is(err, fs.ErrNotExist) {
		v.t.Error("the foreign file is still there")
	}
	v.t.Logf("%d logs with %d lines and %d uploads checked: lost 0, doubled 0", len(v.closed), lines, len(v.uploads))
}

func archived(data []byte) []string {
	if len(data) == 0 {
		return []string{}
	}
	return strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
}

func freeBytes(t *testing.T, dir string) int64 {
	t.Helper()
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		t.Fatal(err)
	}
	return int64(st.Bavail) * st.Bsize
}
