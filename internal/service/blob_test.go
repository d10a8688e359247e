package service_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
)

func (r *rig) put(id logservice.ID, body string) {
	r.t.Helper()
	r.must(r.PutBlob(r.t.Context(), id, strings.NewReader(body), false))
}

func (r *rig) add(id logservice.ID, body string) {
	r.t.Helper()
	r.must(r.PutBlob(r.t.Context(), id, strings.NewReader(body), true))
}

func TestAnUploadIsKeptByteForByte(t *testing.T) {
	r := newRig(t)
	body := "{\"out\":1}\r\nplain \xff text\n\n{\"out\":2}"
	r.put(id, body)
	c := r.wantContent(id, []byte(body))
	if c.Archive || c.Modified.IsZero() {
		t.Errorf("%+v", c)
	}
	// As a tail it has a line for each of its lines.
	cur, state, err := r.Follow(t.Context(), id, past(1))
	r.must(err)
	defer cur.Close()
	data, next := drain(t, cur, 2)
	if state != logservice.StateArchived || next != 5 || bytes.Count(data, []byte("\n")) != 3 || !bytes.HasSuffix(data, []byte("{\"out\":2}\n")) {
		t.Errorf("%s, next %d: %s", state, next, data)
	}
	broken := errors.New("broken")
	if err := r.PutBlob(t.Context(), id, io.MultiReader(strings.NewReader("new"), iotest.ErrReader(broken)), false); !errors.Is(err, broken) {
		t.Error(err)
	}
	r.wantContent(id, []byte(body))
}

func TestAppendingToABlob(t *testing.T) {
	r := newRig(t)
	r.add(id, "one\n") // nothing there yet
	r.add(id, "two\n")
	r.add(id, "")
	r.wantContent(id, []byte("one\ntwo\n"))

	archived := logservice.ID{Account: "acme", Key: "archived"}
	lines := r.write(archived, 300)
	r.must(r.Close(t.Context(), archived, logs.ArchiveAlways))
	r.add(archived, "more\n")
	if c := r.wantContent(archived, append(lines, "more\n"...)); c.Archive {
		t.Error("it claims to be an archive")
	}
}

func TestConcurrentAppendsAreAllThere(t *testing.T) {
	r := newRig(t)
	var g sync.WaitGroup
	for i := range 20 {
		g.Go(func() {
			if err := r.PutBlob(t.Context(), id, strings.NewReader(strings.Repeat(string(rune('a'+i)), 1000)), true); err != nil {
				t.Error(err)
			}
		})
	}
	g.Wait()
	got, _ := r.content(id)
	for i := range 20 {
		if !bytes.Contains(got, bytes.Repeat([]byte{byte('a' + i)}, 1000)) {
			t.Errorf("append %d is lost", i)
		}
	}
	if len(got) != 20000 {
		t.Error(len(got), "bytes")
	}
}

func TestAnEmptyBodyDoesNotWipeAFreshLog(t *testing.T) {
	r := newRig(t)
	r.put(id, "") // nothing there: an empty log is fine
	r.put(id, "")
	r.put(id, "content\n")
	if err := r.PutBlob(t.Context(), id, strings.NewReader(""), false); !errors.Is(err, logservice.ErrConflict) {
		t.Error(err)
	}
	r.wantContent(id, []byte("content\n"))
	archived := logservice.ID{Account: "acme", Key: "archived"}
	lines := r.write(archived, 3)
	r.must(r.Close(t.Context(), archived, logs.ArchiveAlways))
	if err := r.PutBlob(t.Context(), archived, strings.NewReader(""), false); !errors.Is(err, logservice.ErrConflict) {
		t.Error(err)
	}
	r.wantContent(archived, lines)
}

func TestAnArchiveIsHandedOutAsZstdAndInRanges(t *testing.T) {
	r := newRig(t)
	want := r.write(id, 20000)
	r.must(r.Close(t.Context(), id, logs.ArchiveAlways))
	c, err := r.Blob(t.Context(), id, 0)
	r.must(err)
	defer c.Close()
	for _, at := range []int64{0, 1, 300 << 10, int64(len(want)) - 5} {
		rc, err := c.Range(t.Context(), at, 1000)
		r.must(err)
		got, err := io.ReadAll(rc)
		r.must(err)
		if !bytes.Equal(got, want[at:min(at+1000, int64(len(want)))]) {
			t.Errorf("range from %d: %d bytes", at, len(got))
		}
	}
	stored, size, err := c.Stored(t.Context())
	r.must(err)
	defer stored.Close()
	packed, err := io.ReadAll(stored)
	r.must(err)
	d, err := zstd.NewReader(bytes.NewReader(packed))
	r.must(err)
	defer d.Close()
	got, err := io.ReadAll(d)
	r.must(err)
	if int64(len(packed)) != size || !bytes.Equal(got, want) {
		t.Error(size, len(packed), len(got))
	}
}

func TestADamagedArchiveIsNotCopied(t *testing.T) {
	r := newRig(t)
	r.write(id, 20000)
	r.must(r.Close(t.Context(), id, logs.ArchiveAlways))
	c, err := r.Blob(t.Context(), id, 0)
	r.must(err)
	stored, _, err := c.Stored(t.Context())
	r.must(err)
	packed, err := io.ReadAll(stored)
	r.must(err)
	stored.Close()
	c.Close()
	packed[100] ^= 1
	r.must(r.bolt.Put(t.Context(), id, bytes.NewReader(packed), logs.BlobInfo{Archive: true}))
	c, err = r.Blob(t.Context(), id, 0)
	r.must(err)
	defer c.Close()
	rc, err := c.Range(t.Context(), 0, -1)
	r.must(err)
	if _, err := io.ReadAll(rc); err == nil || !strings.Contains(err.Error(), "frame 1 of") {
		t.Error("read:", err)
	}
	if err := r.PutBlob(t.Context(), id, strings.NewReader("more\n"), true); !errors.Is(err, logservice.ErrDamaged) {
		t.Error("append:", err)
	}
}

func TestDeletingAndListingUnderAPrefix(t *testing.T) {
	r := newRig(t)
	for _, key := range []logservice.Key{"run:1", "run:1/a", "run:10", "run:2"} {
		r.put(logservice.ID{Account: "acme", Key: key}, "x\n")
	}
	r.put(logservice.ID{Account: "other", Key: "run:1"}, "x\n")
	n, err := r.DeleteBlobs(t.Context(), "acme", "run:1")
	if n != 2 || err != nil {
		t.Error(n, err)
	}
	var left []string
	for _, account := range []string{"acme", "other"} {
		for e, err := range r.ListBlobs(t.Context(), account, "") {
			r.must(err)
			left = append(left, account+":"+string(e.Key))
		}
	}
	if got := strings.Join(left, " "); got != "acme:run:10 acme:run:2 other:run:1" {
		t.Error(got)
	}
}

func TestAZipHoldsEveryLogUnderSafeNames(t *testing.T) {
	r := newRig(t)
	keys := map[logservice.Key]string{
		"b/a": "b/a~2.log", "b/a/x": "b/a/x.log", "b/a.log/y": "b/a.lo%67/y.log",
		"b/A":       "b/A.log",
		`b/c:\..\d`: "b/c%3A%5C..%5Cd.log", "b/CON": "b/%43ON.log", "b/x.": "b/x%2E.log", "b/50%": "b/50%25.log",
		"b/..x/...": "b/..x/..%2E.log", "b/é ": "b/é%20.log",
	}
	for key := range keys {
		r.put(logservice.ID{Account: "acme", Key: key}, "log of "+string(key)+"\n")
	}
	r.put(logservice.ID{Account: "acme", Key: "bb"}, "outside\n")
	live := logservice.ID{Account: "acme", Key: "b/archived"}
	lines := r.write(live, 5000)
	r.must(r.Close(t.Context(), live, logs.ArchiveAlways))

	var b bytes.Buffer
	r.must(r.Zip(t.Context(), "acme", "b", &b))
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	r.must(err)
	got := make(map[string]string)
	dir := t.TempDir()
	for _, f := range z.File {
		if !filepath.IsLocal(f.Name) || strings.ContainsAny(f.Name, "\\:*?\"<>|") || got[f.Name] != "" {
			t.Errorf("name %q", f.Name)
		}
		rc, err := f.Open()
		r.must(err)
		data, err := io.ReadAll(rc)
		r.must(err)
		got[f.Name] = string(data)
		// It unpacks: no file is where another needs a folder.
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		r.must(os.MkdirAll(filepath.Dir(path), 0o700))
		r.must(os.WriteFile(path, data, 0o600))
	}
	if len(z.File) != len(keys)+1 || got["b/archived.log"] != string(lines) {
		t.Errorf("%d files", len(z.File))
	}
	for key, name := range keys {
		if got[name] != "log of "+string(key)+"\n" {
			t.Errorf("%q is not %q", key, name)
		}
	}
}

func TestLongKeysHaveShortNamesInAZip(t *testing.T) {
	r := newRig(t)
	for _, end := range []string{"1", "2"} {
		r.put(logservice.ID{Account: "acme", Key: logservice.Key(strings.Repeat("é", 400) + end)}, end)
	}
	var b bytes.Buffer
	r.must(r.Zip(t.Context(), "acme", "", &b))
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	r.must(err)
	if len(z.File) != 2 || z.File[0].Name == z.File[1].Name || len(z.File[0].Name) > 250 {
		t.Errorf("%q", z.File[0].Name)
	}
}

func TestWritersOfOneLogWaitForEachOther(t *testing.T) {
	r := newRig(t)
	slow, feed := io.Pipe()
	first := make(chan error, 1)
	reached := make(chan struct{})
	r.store.failWith(func(context.Context, logservice.ID) error { close(reached); return nil })
	go func() { first <- r.PutBlob(t.Context(), id, slow, false) }()
	feed.Write([]byte("begin "))
	<-reached
	r.store.works()
	ctx, cancel := context.WithCancel(t.Context())
	second := make(chan error, 1)
	go func() { second <- r.PutBlob(ctx, id, strings.NewReader("end"), true) }()
	cancel()
	if err := <-second; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	third := make(chan error, 1)
	go func() { third <- r.PutBlob(t.Context(), id, strings.NewReader("end"), true) }()
	r.put(logservice.ID{Account: "acme", Key: "other"}, "not held up")
	feed.Close()
	r.must(<-first)
	r.must(<-third)
	r.wantContent(id, []byte("begin end"))
}

// countingStore counts the blobs that were opened.
type countingStore struct {
	logs.Store
	opened atomic.Int64
}

func (s *countingStore) Get(ctx context.Context, id logservice.ID) (logs.Blob, error) {
	s.opened.Add(1)
	return s.Store.Get(ctx, id)
}

func TestAZipIsMadeWhileItIsRead(t *testing.T) {
	counted := &countingStore{}
	r := newRig(t, func(c *service.Config) { counted.Store, c.Store = c.Store, counted })
	noise := make([]byte, 1<<20)
	for i := range noise { // does not compress
		noise[i] = byte(i * i >> 8 * 131)
	}
	for i := range 5 {
		r.must(r.PutBlob(t.Context(), logservice.ID{Account: "acme", Key: logservice.Key(fmt.Sprint("build/", i))}, bytes.NewReader(noise), false))
	}
	before := counted.opened.Load()
	out, in := io.Pipe()
	done := make(chan error, 1)
	go func() {
		err := r.Zip(t.Context(), "acme", "build", in)
		in.CloseWithError(err)
		done <- err
	}()
	if _, err := io.ReadFull(out, make([]byte, 30)); err != nil { // the first log's head
		t.Fatal(err)
	}
	if n := counted.opened.Load() - before; n != 1 {
		t.Errorf("%d logs were opened before the first was read", n)
	}
	_, err := io.Copy(io.Discard, out)
	r.must(err)
	r.must(<-done)
	if n := counted.opened.Load() - before; n != 5 {
		t.Errorf("%d logs were opened", n)
	}
}
