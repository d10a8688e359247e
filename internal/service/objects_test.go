package service_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/minio/minio-go/v7"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/proctest"
	"github.com/harness/log-service/internal/service"
	"github.com/harness/log-service/internal/store/s3"
	"github.com/harness/log-service/internal/store/s3/s3test"
)

// bucket is a bucket of a real object store, and the store over it.
type bucket struct {
	*s3.Store
	srv  *s3test.Server
	name string
}

func newBucket(t *testing.T, kind s3test.Kind) *bucket {
	t.Helper()
	srv := s3test.Run(t, kind)
	b := &bucket{srv: srv, name: srv.Bucket(t)}
	var err error
	b.Store, err = s3.Open(t.Context(), s3.Config{
		Bucket: b.name, Endpoint: srv.Endpoint(), Addressing: s3.Paths,
		AccessKeyID: s3test.AccessKey, SecretAccessKey: s3test.SecretKey, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// object is an object as the store has it, for whoever reads past the service.
func (b *bucket) object(t *testing.T, name string) ([]byte, minio.ObjectInfo) {
	t.Helper()
	c, err := b.srv.Client()
	if err != nil {
		t.Fatal(err)
	}
	body, info, _, err := c.GetObject(t.Context(), b.name, name, minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(name, err)
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return data, info
}

// objectRig is a rig whose finished logs are in a bucket.
func objectRig(t *testing.T, b *bucket, change ...func(*service.Config)) *rig {
	return start(t, t.TempDir(), append([]func(*service.Config){func(c *service.Config) { c.Store, c.Plain = b, true }}, change...)...)
}

func (r *rig) follow(id logservice.ID, after int64) []byte {
	r.t.Helper()
	c, state, err := r.Follow(r.t.Context(), id, past(after))
	r.must(err)
	defer c.Close()
	if state != logservice.StateArchived {
		r.t.Errorf("state %q", state)
	}
	data, _ := drain(r.t, c, after+1)
	return data
}

func TestInABucketAnArchiveIsPlainLinesOrSeekableZstd(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		b := newBucket(t, kind)
		for name, tc := range map[string]struct {
			lines int
			plain bool
		}{
			"small": {100, true}, "empty": {0, true}, "some frames": {20_000, true}, "several parts": {200_000, true},
			"zstd": {20_000, false}, "small zstd": {100, false},
		} {
			t.Run(fmt.Sprint(kind, " ", name), func(t *testing.T) {
				r := objectRig(t, b, func(c *service.Config) { c.Plain = tc.plain })
				id := logservice.ID{Account: "acme", Key: logservice.Key(name)}
				var want []byte
				r.must(r.Open(t.Context(), id, logs.OpenOptions{}))
				for at := 0; at < tc.lines; at += 10_000 {
					want = append(want, r.append(id, at, min(10_000, tc.lines-at))...)
				}
				r.must(r.Close(t.Context(), id, logs.ArchiveAlways))
				eventually(t, "archived", func() bool { ok, err := r.BlobExists(t.Context(), id); r.must(err); return ok })
				eventually(t, "deleted", func() bool { l, err := r.List(t.Context(), logs.Filter{}); r.must(err); return len(l) == 0 })

				stored, info := b.object(t, "acme/"+strings.ReplaceAll(name, " ", "!0")+"!.log")
				if tc.plain && (!bytes.Equal(stored, want) || info.ContentEncoding != "") {
					t.Errorf("the object has %d bytes, encoding %q; want the %d of the lines", len(stored), info.ContentEncoding, len(want))
				}
				if !tc.plain {
					d, err := zstd.NewReader(bytes.NewReader(stored))
					r.must(err)
					defer d.Close()
					if got, err := io.ReadAll(d); err != nil || !bytes.Equal(got, want) || info.ContentEncoding != "zstd" {
						t.Errorf("the object unpacks to %d bytes, %v, encoding %q", len(got), err, info.ContentEncoding)
					}
				}
				if c := r.wantContent(id, want); c.Lines != int64(tc.lines) || !c.Archive {
					t.Errorf("%d lines, archive %v", c.Lines, c.Archive)
				}
				for _, after := range []int{0, 1, tc.lines / 2, max(tc.lines-1, 0)} {
					if got, tail := r.follow(id, int64(after)), jsonLines(after, tc.lines-min(after, tc.lines)); !bytes.Equal(got, tail) {
						t.Errorf("after %d: %d bytes, want %d", after, len(got), len(tail))
					}
				}
				c, err := r.Blob(t.Context(), id, 0)
				r.must(err)
				defer c.Close()
				at := int64(len(want) / 2)
				part, err := c.Range(t.Context(), at, 1000)
				r.must(err)
				defer part.Close()
				if got, err := io.ReadAll(part); err != nil || !bytes.Equal(got, want[at:min(at+1000, int64(len(want)))]) {
					t.Errorf("a range: %d bytes, %v", len(got), err)
				}
			})
		}
	}
}

func TestAPlainArchiveThatLostItsIndexIsReadFromItsBeginning(t *testing.T) {
	b := newBucket(t, s3test.Versity)
	r := objectRig(t, b)
	id := logservice.ID{Account: "acme", Key: "log"}
	r.must(r.Open(t.Context(), id, logs.OpenOptions{}))
	var want []byte
	for at := 0; at < 200_000; at += 10_000 {
		want = append(want, r.append(id, at, 10_000)...)
	}
	r.must(r.Close(t.Context(), id, logs.ArchiveAlways))
	eventually(t, "archived", func() bool { l, err := r.List(t.Context(), logs.Filter{}); r.must(err); return len(l) == 0 })
	c, err := b.srv.Client()
	r.must(err)
	if _, err := c.StatObject(t.Context(), b.name, "acme/log!.index", minio.StatObjectOptions{}); err != nil {
		t.Fatal("no index beside a log of several parts:", err)
	}
	r.must(c.RemoveObject(t.Context(), b.name, "acme/log!.index", minio.RemoveObjectOptions{}))
	r.wantContent(id, want)
	if got := r.follow(id, 150_000); !bytes.Equal(got, jsonLines(150_000, 50_000)) {
		t.Errorf("%d bytes", len(got))
	}
	// Deleting a log leaves nothing of it.
	r.must(r.DeleteBlob(t.Context(), id))
	for o := range c.ListObjectsIter(t.Context(), b.name, minio.ListObjectsOptions{Recursive: true}) {
		t.Error("left:", o.Key, o.Err)
	}
}

func packGzip(data []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(data)
	_ = w.Close()
	return b.Bytes()
}

func packZstd(data []byte) []byte {
	w, _ := zstd.NewWriter(nil)
	return w.EncodeAll(data, nil)
}

// uploads are what clients store themselves, and how it reads.
func uploads() map[string][]byte {
	lines := jsonLines(0, 5000)
	return map[string][]byte{
		"raw": lines, "gzip": packGzip(lines), "zstd": packZstd(lines),
		"two members": append(packGzip(lines[:1000]), packGzip(lines[1000:])...),
		"two frames":  append(packZstd(lines[:1000]), packZstd(lines[1000:])...),
	}
}

func TestALinkServesWhatWasUploaded(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		b := newBucket(t, kind)
		r := objectRig(t, b)
		for name, packed := range uploads() {
			id := logservice.ID{Account: "acme", Key: logservice.Key(name)}
			r.must(r.PutBlob(t.Context(), id, bytes.NewReader(packed), false))
			wantLines(t, r, id, name, packed)
			link, err := r.StoreLink(t.Context(), id, time.Minute)
			r.must(err)
			if got := send(t, http.MethodGet, link, nil, http.StatusOK); !bytes.Equal(got, packed) {
				t.Errorf("%s: the link gives %d bytes, want %d", name, len(got), len(packed))
			}
			// A link is good for its log and its method only.
			send(t, http.MethodPut, link, nil, http.StatusForbidden)
			send(t, http.MethodGet, strings.Replace(link, "acme", "other", 1), nil, http.StatusForbidden)
		}
	}
}

func TestWhatClientsUploadedCompressedReadsLikeAnArchive(t *testing.T) {
	r := newRig(t)
	for name, packed := range uploads() {
		id := logservice.ID{Account: "acme", Key: logservice.Key(name)}
		r.must(r.PutBlob(t.Context(), id, bytes.NewReader(packed), false))
		wantLines(t, r, id, name, packed)
	}
	id := logservice.ID{Account: "acme", Key: "cut"}
	r.must(r.PutBlob(t.Context(), id, bytes.NewReader(packGzip(jsonLines(0, 5000))[:3000]), false))
	c, err := r.Blob(t.Context(), id, 0)
	r.must(err)
	defer c.Close()
	rc, err := c.Range(t.Context(), 0, -1)
	r.must(err)
	defer rc.Close()
	if _, err := io.Copy(io.Discard, rc); err == nil {
		t.Error("a gzip file that was cut reads as if it were whole")
	}
}

// wantLines reads the 5000 lines of uploads in every way.
func wantLines(t *testing.T, r *rig, id logservice.ID, name string, packed []byte) {
	t.Helper()
	want := jsonLines(0, 5000)
	c := r.wantContent(id, want)
	if encoding := map[string]string{"raw": "", "two members": "gzip", "two frames": "zstd"}; c.Encoding != encoding[name] && c.Encoding != name {
		t.Errorf("%s: encoding %q", name, c.Encoding)
	}
	if got := r.follow(id, 4000); !bytes.Equal(got, jsonLines(4000, 1000)) {
		t.Errorf("%s: %d bytes after line 4000", name, len(got))
	}
	if name != "raw" {
		again, err := r.Blob(t.Context(), id, 0)
		r.must(err)
		defer again.Close()
		stored, size, err := again.Stored(t.Context())
		r.must(err)
		defer stored.Close()
		if got, err := io.ReadAll(stored); err != nil || !bytes.Equal(got, packed) || size != int64(len(packed)) {
			t.Errorf("%s: stored as %d bytes, %v", name, len(got), err)
		}
	}
	r.must(r.PutBlob(t.Context(), logservice.ID{Account: id.Account, Key: id.Key + "/copy"}, bytes.NewReader(packed), false))
	copied := logservice.ID{Account: id.Account, Key: id.Key + "/copy"}
	r.must(r.PutBlob(t.Context(), copied, strings.NewReader("more\n"), true))
	r.wantContent(copied, append(bytes.Clone(want), "more\n"...))
}

func send(t *testing.T, method, url string, body []byte, status int) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DisableCompression: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != status {
		t.Fatalf("%s %s: %s, %v, want %d\n%s", method, url, resp.Status, err, status, data)
	}
	return data
}

// TestWhileTheStoreIsAwayLogsGoOn closes logs with the store down, and with
// one that hangs.
func TestWhileTheStoreIsAwayLogsGoOn(t *testing.T) {
	for name, outage := range map[string]struct{ begin, end func(*s3test.Server) }{
		"down":    {(*s3test.Server).Kill, func(s *s3test.Server) { _ = s.Start() }},
		"hanging": {(*s3test.Server).Hang, (*s3test.Server).Resume},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // most of it is waiting
			b := newBucket(t, s3test.MinIO)
			r := objectRig(t, b)
			old := logservice.ID{Account: "acme", Key: "old"}
			r.must(r.PutBlob(t.Context(), old, strings.NewReader("old\n"), false))
			ids := make([]logservice.ID, 20)
			want := make([][]byte, len(ids))
			for i := range ids {
				ids[i] = logservice.ID{Account: "acme", Key: logservice.Key(fmt.Sprintf("build/%d", i))}
				want[i] = r.write(ids[i], 100)
			}
			outage.begin(b.srv)
			for i, id := range ids { // appends go on
				want[i] = append(want[i], r.append(id, 100, 100)...)
			}
			clock := proctest.StartClock(t)
			r.must(r.CloseAll(t.Context(), ids, logs.ArchiveIfMissing))
			if took := clock.Elapsed(); took > 10*time.Second {
				t.Errorf("the close took %v", took)
			}
			for i, id := range ids[:3] { // so do tails, and reading what was closed
				c, state, err := r.Follow(t.Context(), id, past(0))
				r.must(err)
				if got, _ := drain(t, c, 1); !bytes.Equal(got, want[i]) || state != logservice.StateLive {
					t.Errorf("a tail has %d bytes, state %s", len(got), state)
				}
				c.Close()
			}
			none := logservice.ID{Account: "acme", Key: "none"}
			var asked sync.WaitGroup
			for what, ask := range map[string]func() error{
				"Blob":            func() error { return blobErr(r, old) },
				"Blob of nothing": func() error { return blobErr(r, none) },
				"BlobExists":      func() error { _, err := r.BlobExists(t.Context(), old); return err },
				"PutBlob":         func() error { return r.PutBlob(t.Context(), none, strings.NewReader("new\n"), false) },
				"Follow":          func() error { _, _, err := r.Follow(t.Context(), old, past(0)); return err },
			} {
				asked.Go(func() {
					clock := proctest.StartClock(t)
					err := ask()
					var u *logservice.UnavailableError
					if took := clock.Elapsed(); !errors.As(err, &u) || u.RetryAfter <= 0 || took > 10*time.Second {
						t.Errorf("%s: %v after %v, want unavailable, and when to try again, within 10 s", what, err, took)
					}
				})
			}
			asked.Wait()
			infos, err := r.List(t.Context(), logs.Filter{Account: "acme"})
			r.must(err)
			if back := r.Backlog(infos); back.Waiting != len(ids) {
				t.Errorf("backlog %+v, want %d", back, len(ids))
			}
			if name == "down" {
				eventually(t, "failing", func() bool { return r.Backlog(infos).Failing > 0 })
				r.wantContent(ids[0], want[0])
			}
			outage.end(b.srv)
			// Attempts are up to 30 s apart.
			eventuallyWithin(t, time.Minute, "all is archived", func() bool { l, err := r.List(t.Context(), logs.Filter{}); r.must(err); return len(l) == 0 })
			for i, id := range ids {
				if c := r.wantContent(id, want[i]); !c.Archive {
					t.Errorf("%v is not archived", id)
				}
			}
			r.wantContent(old, []byte("old\n"))
			if back := r.Backlog(nil); back != (service.Backlog{}) {
				t.Error(back)
			}
		})
	}
}

func blobErr(r *rig, id logservice.ID) error {
	c, err := r.Blob(r.t.Context(), id, 0)
	if err == nil {
		_ = c.Close()
	}
	return err
}
