package e2e_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/harness/log-service/internal/proctest"
	"github.com/harness/log-service/internal/store/storetest"
)

// catalogPage is the size of the catalog's pages. The first two are its headers.
const catalogPage = 4096

// TestADamagedCatalogKeepsNoLogDownThatHasItsOwnFile kills a server, damages the
// catalog of its blob store, and starts it again. Live logs go on at once, and
// the stored ones that are files are back.
func TestADamagedCatalogKeepsNoLogDownThatHasItsOwnFile(t *testing.T) {
	stored := newCatalog(t)
	whole, err := os.ReadFile(stored.file())
	stored.must(err)
	page := stored.leaf()
	clearPages := func(pages ...int) []byte {
		b := bytes.Clone(whole)
		for _, p := range pages {
			clear(b[p*catalogPage : (p+1)*catalogPage])
		}
		return b
	}
	for _, c := range []struct {
		name    string
		catalog []byte
		lost    func(key string) bool // small logs that may be lost
	}{
		{"a page of logs", clearPages(page), func(key string) bool {
			return bytes.Contains(whole[page*catalogPage:(page+1)*catalogPage], []byte(key))
		}},
		{"one header", clearPages(0), func(string) bool { return false }},
		{"the other header", clearPages(1), func(string) bool { return false }},
		{"both headers", clearPages(0, 1), func(string) bool { return true }},
		{"its end", whole[:page*catalogPage], func(string) bool { return true }},
		{"everything", nil, func(string) bool { return true }},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := stored.copy(t)
			s.must(os.WriteFile(s.file(), c.catalog, 0o600))
			s.damageBlob()
			s.start()
			s.liveGoesOn()
			s.ready()
			small := 0
			for key, content := range s.blobs {
				a, _, err := s.wire.persist(t.Context(), http.MethodGet, "/blob", key, "", nil) // it may be what finds the damage
				s.must(err)
				switch {
				case a.status == http.StatusOK && bytes.Equal(a.body, content):
				case strings.HasPrefix(key, "small/") && a.status == http.StatusNotFound && c.lost(key):
					small++
				default:
					t.Errorf("%s: status %d, %d of %d bytes", key, a.status, len(a.body), len(content))
				}
			}
			for _, key := range s.deleted {
				if a, _, err := s.wire.persist(t.Context(), http.MethodGet, "/blob", key, "", nil); want(a, err, http.StatusNotFound) != nil {
					t.Errorf("%s was deleted: %v, %v", key, a, err)
				}
			}
			s.damagedBlobIsReported()
			s.alarmed()
			s.works()
			s.stop()
			t.Logf("%d of %d blobs lost, all of them small ones", small, len(s.blobs))
		})
	}
}

// catalog is a server whose data folder has a catalog, and what is stored in it.
type catalog struct {
	t       *testing.T
	folder  string
	s       *process
	wire    *wire
	blobs   map[string][]byte
	deleted []string
	live    []string
}

// newCatalog stores logs, and kills the server.
func newCatalog(t *testing.T) *catalog {
	s := startServer(t, program(t))
	c := &catalog{t: t, folder: s.folder, s: s, wire: newWire(s.url), blobs: map[string][]byte{}}
	for i := range 24 {
		c.upload(fmt.Sprintf("small/%02d", i), storetest.Noise(300+i))
	}
	for i := range 3 {
		c.upload(fmt.Sprintf("large/%d", i), storetest.Noise(100_000+i))
	}
	c.upload("damaged", storetest.Noise(100_003))
	delete(c.blobs, "damaged")
	for _, key := range []string{"small/07", "large/1"} {
		a, err := c.wire.call(t.Context(), http.MethodDelete, "/blob", key, "", nil)
		c.must(want(a, err, http.StatusNoContent))
		delete(c.blobs, key)
		c.deleted = append(c.deleted, key)
	}
	c.must(c.wire.open(t.Context(), "live"))
	c.push()
	s.kill()
	return c
}

// copy is a server that has not started yet, with a copy of the data.
func (c *catalog) copy(t *testing.T) *catalog {
	d := *c
	d.t, d.folder, d.s, d.wire = t, t.TempDir(), nil, nil
	d.blobs, d.live = maps.Clone(c.blobs), slices.Clone(c.live)
	d.must(os.CopyFS(filepath.Join(d.folder, "data"), os.DirFS(filepath.Join(c.folder, "data"))))
	return &d
}

func (c *catalog) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func (c *catalog) file() string { return filepath.Join(c.folder, "data", "blobs.db") }

func (c *catalog) upload(key string, content []byte) {
	c.t.Helper()
	a, err := c.wire.call(c.t.Context(), http.MethodPost, "/blob", key, "", content)
	c.must(want(a, err, http.StatusNoContent))
	c.blobs[key] = content
}

func (c *catalog) get(key string) answer {
	c.t.Helper()
	a, err := c.wire.call(c.t.Context(), http.MethodGet, "/blob", key, "", nil)
	c.must(err)
	return a
}

// leaf is a page that has small logs, and not all of them.
func (c *catalog) leaf() int {
	c.t.Helper()
	db, err := bbolt.Open(c.file(), 0o600, &bbolt.Options{ReadOnly: true, PreLoadFreelist: true, Timeout: time.Second})
	c.must(err)
	defer db.Close()
	file, err := os.ReadFile(c.file())
	c.must(err)
	page := 0
	c.must(db.View(func(tx *bbolt.Tx) error {
		for p := 2; p < len(file)/catalogPage; p++ {
			info, err := tx.Page(p)
			if err != nil {
				return err
			}
			n := bytes.Count(file[p*catalogPage:(p+1)*catalogPage], []byte("small/"))
			if info != nil && info.Type == "leaf" && n > 0 && n < 20 {
				page = p
			}
		}
		return nil
	}))
	if page == 0 {
		c.t.Fatal("no page with some of the small logs")
	}
	return page
}

// damageBlob flips a bit in the file of the log damaged.
func (c *catalog) damageBlob() {
	c.t.Helper()
	content := storetest.Noise(100_003)
	names, err := filepath.Glob(filepath.Join(c.folder, "data", "blobs", "*.blob"))
	c.must(err)
	for _, name := range names {
		b, err := os.ReadFile(name)
		c.must(err)
		if at := bytes.Index(b, content[50_000:50_100]); at >= 0 {
			b[at] ^= 1
			c.must(os.WriteFile(name, b, 0o600))
			return
		}
	}
	c.t.Fatal("no file has the log")
}

func (c *catalog) start() {
	c.t.Helper()
	addr := proctest.FreeAddr(c.t)
	c.s = startProcess(c.t, program(c.t), addr, c.folder, "LOG_SERVICE_HTTP_BIND="+addr, "LOG_SERVICE_GRPC_BIND=off",
		"LOG_SERVICE_DATA="+filepath.Join(c.folder, "data"))
	c.wire = newWire(c.s.url)
}

func (c *catalog) push() {
	c.t.Helper()
	first := len(c.live) + 1
	for i := range 500 {
		c.live = append(c.live, fmt.Sprintf(`{"pos":%d,"out":"line %x\n"}`, first+i, storetest.Noise(1000 + first + i)[:20]))
	}
	next, err := c.wire.push(c.t.Context(), "live", "", c.live[first-1:])
	if c.must(err); next != int64(len(c.live))+1 {
		c.t.Fatalf("the next sequence is %d after %d lines", next, len(c.live))
	}
}

// liveGoesOn writes, follows and closes the live log, whatever the store does.
func (c *catalog) liveGoesOn() {
	c.t.Helper()
	c.push()
	var got []string
	enough := errors.New("all lines")
	tail := tailer{wire: c.wire, key: "live", line: func(_ int64, json []byte) error {
		if got = append(got, string(json)); len(got) == len(c.live) {
			return fmt.Errorf("%w%w", enough, errEnd)
		}
		return nil
	}}
	c.must(tail.run(c.t.Context()))
	c.must(c.wire.close(c.t.Context(), "live", ""))
	c.blobs["live"] = []byte(strings.Join(c.live, "\n") + "\n")
	if all := strings.Join(got, "\n") + "\n"; all != string(c.blobs["live"]) {
		c.t.Fatalf("the tail has %d bytes of %d", len(all), len(c.blobs["live"]))
	}
}

// ready waits until the catalog has been rebuilt.
func (c *catalog) ready() {
	c.t.Helper()
	a, _, err := c.wire.persist(c.t.Context(), http.MethodGet, "/ready/healthz", "x", "", nil)
	c.must(want(a, err, http.StatusOK))
	_, err = c.wire.archive(c.t.Context(), "live") // waits for it
	c.must(err)
}

// damagedBlobIsReported reads the log of which one bit was flipped.
func (c *catalog) damagedBlobIsReported() {
	c.t.Helper()
	if a := c.get("damaged"); a.status != http.StatusGone || !strings.Contains(string(a.body), `"reason":"damaged"`) {
		c.t.Errorf("a damaged log is answered %v", a)
	}
	out, err := c.s.client("--account", "acc", "cistore", "download", "damaged", "--to", "x").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "damaged: the stored data is damaged") {
		c.t.Errorf("the download of a damaged log: %v, %s", err, out)
	}
}

// alarmed looks for what the documentation says to watch, and for what is kept.
func (c *catalog) alarmed() {
	c.t.Helper()
	out := c.s.output.String()
	for _, message := range []string{"the catalog of the blob store was damaged and has been rebuilt", "a blob cannot be read as it was written"} {
		if !strings.Contains(out, "level=ERROR msg=\""+message) {
			c.t.Errorf("the server's log has no error %q", message)
		}
	}
	if kept, err := filepath.Glob(c.file() + ".damaged-*"); err != nil || len(kept) != 1 {
		c.t.Errorf("the damaged catalog is kept %d times, %v; want once", len(kept), err)
	}
}

// works stores and deletes.
func (c *catalog) works() {
	c.t.Helper()
	c.upload("new", storetest.Noise(50_000))
	if a := c.get("new"); !bytes.Equal(a.body, c.blobs["new"]) {
		c.t.Errorf("a new log is answered %v", a.status)
	}
	a, err := c.wire.call(c.t.Context(), http.MethodDelete, "/blob", "new", "", nil)
	c.must(want(a, err, http.StatusNoContent))
}

func (c *catalog) stop() { c.s.stop() }
