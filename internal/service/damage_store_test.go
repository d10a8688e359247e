package service_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
)

// TestAZipHasWhatCanBeReadAndNotesTheRest has logs that are damaged in all ways
// among others.
func TestAZipHasWhatCanBeReadAndNotesTheRest(t *testing.T) {
	onEveryStore(t, func(t *testing.T, a archives, plain bool) {
		lines := jsonLines(0, archiveLines)
		data, index := archived(t, lines, plain)
		bad := bytes.Clone(data)
		bad[len(bad)/3] ^= 1
		a.put(logservice.ID{Account: "acme", Key: "zip/archive"}, bad, index)
		a.keep("zip/cut", packGzip([]byte("hello\nworld\n"))[:24])
		a.keep("zip/magic", []byte("\x1f\x8b\x08 is no gzip\n"))
		a.keep("zip/whole", []byte("whole\n"))
		files := a.unzip(t, "zip")
		if len(files) != 6 || files["zip/whole.log"] != "whole\n" || files["zip/magic.log"] != "\x1f\x8b\x08 is no gzip\n" ||
			!strings.HasPrefix(files["zip/cut.log"], "hello\nw") || !strings.Contains(files["zip/cut.log"], `"damage":"gzip: it ends early"`) ||
			!strings.Contains(files["zip/cut.log.damaged.txt"], "zip/cut is damaged: gzip: it ends early") ||
			!strings.Contains(files["zip/archive.log.damaged.txt"], "frame") || len(files["zip/archive.log"]) < len(lines)*9/10 {
			for name, text := range files {
				t.Errorf("%s: %.300q", name, text)
			}
		}
	})
}

func (r *rig) unzip(t *testing.T, prefix logservice.Key) map[string]string {
	t.Helper()
	var b bytes.Buffer
	r.must(r.Zip(t.Context(), "acme", prefix, &b))
	z, err := zip.NewReader(bytes.NewReader(b.Bytes()), int64(b.Len()))
	r.must(err)
	files := map[string]string{}
	for _, f := range z.File {
		rc, err := f.Open()
		r.must(err)
		text, err := io.ReadAll(rc)
		r.must(err)
		files[f.Name] = string(text)
	}
	return files
}

// TestABadSectorOfTheEmbeddedStoreCostsWhatIsInIt flips bytes in the files of
// the store itself.
func TestABadSectorOfTheEmbeddedStoreCostsWhatIsInIt(t *testing.T) {
	r := newRig(t)
	lines := slices.Concat(randomLines(0), randomLines(1), randomLines(2), randomLines(3))
	data, _ := archived(t, lines, false)
	ids := map[string]logservice.ID{}
	for _, name := range []string{"archive", "raw", "gone", "unreadable"} {
		ids[name] = logservice.ID{Account: "acme", Key: logservice.Key("sector/" + name)}
		content, info := data, logs.BlobInfo{Archive: true}
		if name != "archive" {
			content, info = lines, logs.BlobInfo{}
		}
		r.must(r.store.Put(t.Context(), ids[name], bytes.NewReader(content), info))
		files, err := filepath.Glob(filepath.Join(r.dir, "blobs", "*.blob"))
		r.must(err)
		r.must(spoil(files[len(files)-1], name))
	}
	s := r.see(ids["archive"], 0)
	if len(s.marks) == 0 || len(s.marks) > 4 || s.marks[0].Rest || s.last != 4*archiveLines+10 {
		t.Fatalf("archive: %+v", s.marks)
	}
	lost := logservice.Gap{First: s.marks[0].First, Last: s.marks[len(s.marks)-1].Last}
	if got := strings.Join(s.texts, ""); got != r.readableLines(lines, lost)+"[10 lines lost]\n" || lost.Lines() > 3*archiveLines {
		t.Errorf("archive: %d lines of text, lost are %+v", len(s.texts), lost)
	}
	s = r.see(ids["raw"], 0)
	s.wantMark(t, "raw")
	if text := strings.Join(s.texts, ""); len(s.texts) < 1000 || !strings.HasPrefix(r.readableLines(lines, logservice.Gap{}), text[:len(text)-200]) {
		t.Errorf("raw: %d lines", len(s.texts))
	}
	for _, name := range []string{"gone", "unreadable"} {
		s := r.see(ids[name], 0)
		if s.wantMark(t, name); len(s.texts) > 0 {
			t.Errorf("%s: %+v", name, s)
		}
		if err := r.firstByte(ids[name]); !errors.Is(err, logservice.ErrDamaged) {
			t.Errorf("%s: %v, want damage before the first byte", name, err)
		}
		if ok, err := r.BlobExists(t.Context(), ids[name]); !ok || err != nil {
			t.Errorf("%s: exists %v, %v", name, ok, err)
		}
	}
	if files := r.unzip(t, "sector"); len(files) != 6 || files["sector/gone.log.damaged.txt"] == "" || strings.Contains(fmt.Sprint(files), r.dir) {
		t.Errorf("%d files in a zip", len(files))
	}
	// A log that is closed replaces one of which nothing can be read.
	want := r.write(ids["gone"], 3)
	r.must(r.Close(t.Context(), ids["gone"], logs.ArchiveIfMissing))
	r.wantContent(ids["gone"], want)
	if n, err := r.DeleteBlobs(t.Context(), "acme", "sector"); n != 4 || err != nil {
		t.Errorf("deleted %d, %v", n, err)
	}
}

// spoil damages a file of the store.
func spoil(file, how string) error {
	if how == "gone" {
		return os.Remove(file)
	}
	f, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	at := info.Size() / 2
	if how == "unreadable" {
		at = info.Size() - 12
	}
	_, err = f.WriteAt([]byte("spoiled"), at)
	return err
}

// firstByte opens the log and reads its first byte.
func (r *rig) firstByte(id logservice.ID) error {
	c, err := r.Blob(r.t.Context(), id, 0)
	if err != nil {
		return err
	}
	defer c.Close()
	rd, err := c.Readable(r.t.Context(), 0, -1)
	if err != nil {
		return err
	}
	return rd.Close()
}

// badStore is a store that fails for one key.
type badStore struct {
	logs.Store
	key  logservice.Key
	err  error // of everything about it; or, with from, of its bytes
	from int64 // the first byte that cannot be read; zero: all
}

func (s *badStore) Get(ctx context.Context, id logservice.ID) (logs.Blob, error) {
	return s.open(id, func() (logs.Blob, error) { return s.Store.Get(ctx, id) })
}

func (s *badStore) GetAttempt(ctx context.Context, id logservice.ID, attempt int64) (logs.Blob, error) {
	return s.open(id, func() (logs.Blob, error) { return s.Store.GetAttempt(ctx, id, attempt) })
}

func (s *badStore) open(id logservice.ID, get func() (logs.Blob, error)) (logs.Blob, error) {
	if id.Key != s.key {
		return get()
	}
	if s.from == 0 {
		return nil, s.err
	}
	b, err := get()
	return &badBlob{b, s}, err
}

func (s *badStore) List(ctx context.Context, account string, prefix logservice.Key) iter.Seq2[logs.BlobEntry, error] {
	return func(yield func(logs.BlobEntry, error) bool) {
		for e, err := range s.Store.List(ctx, account, prefix) {
			if e.Key == s.key && s.from == 0 {
				err = s.err
			}
			if !yield(e, err) {
				return
			}
		}
	}
}

type badBlob struct {
	logs.Blob
	s *badStore
}

func (b *badBlob) Range(ctx context.Context, offset, length int64) (io.ReadCloser, error) {
	r, err := b.Blob.Range(ctx, offset, length)
	if err != nil {
		return nil, err
	}
	return &badReader{r, io.MultiReader(io.LimitReader(r, max(0, b.s.from-offset)), iotest.ErrReader(b.s.err))}, nil
}

type badReader struct {
	io.Closer
	io.Reader
}

// TestAStoreThatIsAwayIsNoDamage: what may pass must not become a mark, nor the
// end of a log.
func TestAStoreThatIsAwayIsNoDamage(t *testing.T) {
	lines := randomLines(0)
	zstdArchive, _ := archived(t, lines, false)
	away := &logservice.UnavailableError{Cause: fmt.Errorf("repairing: %w", logservice.ErrDamaged)}
	for name, data := range map[string][]byte{"gzip": packGzip(lines), "zstd": packZstd(lines), "raw": lines, "archive": zstdArchive} {
		for _, from := range []int64{0, 1, 5000, 100_000} {
			var bad *badStore
			r := newRig(t, func(c *service.Config) {
				bad = &badStore{Store: c.Store, key: "log", err: away, from: from}
				c.Store = bad
			})
			id := logservice.ID{Account: "acme", Key: "log"}
			r.must(bad.Put(t.Context(), id, bytes.NewReader(data), logs.BlobInfo{Archive: name == "archive"}))
			if err := r.followError(id); !errors.Is(err, logservice.ErrUnavailable) {
				t.Errorf("%s from %d: a reader gets %v", name, from, err)
			}
			if err := r.Zip(t.Context(), "acme", "", io.Discard); !errors.Is(err, logservice.ErrUnavailable) {
				t.Errorf("%s from %d: a zip gets %v", name, from, err)
			}
		}
	}
}

// followError reads the log to its end or an error; it must not have a mark.
func (r *rig) followError(id logservice.ID) error {
	c, _, err := r.Follow(r.t.Context(), id, past(0))
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		batches, err := c.Next(r.t.Context())
		if err != nil {
			return err
		}
		if batches[0].Gap {
			return fmt.Errorf("a mark: %s", batches[0].Data)
		}
	}
}

func TestARecordThatCannotBeReadIsNotedInAZipAndDeleted(t *testing.T) {
	r := newRig(t, func(c *service.Config) {
		c.Store = &badStore{Store: c.Store, key: "bad/one", err: fmt.Errorf("%w: its record", logservice.ErrDamaged)}
	})
	r.keep("bad/one", []byte("one\n"))
	r.keep("bad/two", []byte("two\n"))
	if files := r.unzip(t, "bad"); len(files) != 2 || files["bad/two.log"] != "two\n" || files["bad/one.log.damaged.txt"] == "" {
		t.Errorf("%q", files)
	}
	if s := r.see(logservice.ID{Account: "acme", Key: "bad/one"}, 0); len(s.marks) != 1 || len(s.texts) > 0 {
		t.Errorf("%+v", s)
	}
	if n, err := r.DeleteBlobs(t.Context(), "acme", "bad"); n != 2 || err != nil {
		t.Errorf("deleted %d, %v", n, err)
	}
}
