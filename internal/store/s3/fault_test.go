package s3_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/faultproxy"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/proctest"
	"github.com/harness/log-service/internal/store/s3"
	"github.com/harness/log-service/internal/store/s3/s3test"
	"github.com/harness/log-service/internal/store/storetest"
)

var id = logservice.ID{Account: "acc", Key: "log"}

const part = 16 << 20

func put(t *testing.T, s *s3.Store, id logservice.ID, content []byte) {
	t.Helper()
	if err := s.Put(t.Context(), id, bytes.NewReader(content), logs.BlobInfo{}); err != nil {
		t.Fatal(err)
	}
}

func get(t *testing.T, s *s3.Store, id logservice.ID) ([]byte, error) {
	t.Helper()
	b, err := s.Get(t.Context(), id)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	r, err := b.Range(t.Context(), 0, -1)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

func wantHeld(t *testing.T, s *s3.Store, id logservice.ID, want []byte) {
	t.Helper()
	if got, err := get(t, s, id); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v holds %d bytes, %v; want %d", id, len(got), err, len(want))
	}
}

func wantUnavailable(t *testing.T, what string, err error) {
	t.Helper()
	var u *logservice.UnavailableError
	if !errors.As(err, &u) || u.RetryAfter <= 0 || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%s: %v, want unavailable and when to try again, and nothing else", what, err)
	}
}

// wantNothingBegun fails if parts of an upload remain.
func wantNothingBegun(t *testing.T, srv *s3test.Server, bucket, name string) {
	t.Helper()
	c, err := srv.Client()
	if err != nil {
		t.Fatal(err)
	}
	// MinIO can only list the uploads of a single object.
	got, err := c.ListMultipartUploads(t.Context(), bucket, name, "", "", "", 10)
	if err != nil || len(got.Uploads) > 0 {
		t.Errorf("%d uploads are begun, %v", len(got.Uploads), err)
	}
}

// afterReader calls f after its content, and continues with more.
func afterReader(content []byte, f func(), more io.Reader) io.Reader {
	return io.MultiReader(bytes.NewReader(content), &once{f: f}, more)
}

type once struct{ f func() }

func (o *once) Read([]byte) (int, error) { o.f(); return 0, io.EOF }

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestAnUploadThatFailsLeavesNoObjectAndNoParts(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		srv := s3test.Run(t, kind)
		bucket := srv.Bucket(t)
		s := open(t, settings(srv, bucket))
		broken := errors.New("the client went away")
		if err := s.Put(t.Context(), id, io.MultiReader(bytes.NewReader(storetest.Noise(2*part+5)), failing{broken}), logs.BlobInfo{}); !errors.Is(err, broken) {
			t.Errorf("%s: %v", kind, err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		err := s.Put(ctx, id, afterReader(storetest.Noise(part+5), cancel, bytes.NewReader(storetest.Noise(part))), logs.BlobInfo{})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", kind, err)
		}
		// A truncated body is not one that ended.
		if err := s.Put(t.Context(), id, io.MultiReader(strings.NewReader("half"), failing{io.ErrUnexpectedEOF}), logs.BlobInfo{}); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: %v", kind, err)
		}
		wantNothingBegun(t, srv, bucket, "acc/log!.log")
		if _, err := s.Get(t.Context(), id); !errors.Is(err, logservice.ErrBlobNotFound) {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestAStoreThatStopsDuringAnUpload(t *testing.T) {
	t.Parallel() // it waits more than it works
	for _, kind := range s3test.Kinds() {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			srv := s3test.Run(t, kind)
			bucket := srv.Bucket(t)
			s := open(t, settings(srv, bucket))
			old := storetest.Text(100)
			put(t, s, id, old)
			err := s.Put(t.Context(), id, afterReader(storetest.Noise(2*part), srv.Kill, bytes.NewReader(storetest.Noise(part))), logs.BlobInfo{})
			wantUnavailable(t, "Put", err)
			_, err = s.Get(t.Context(), id)
			wantUnavailable(t, "Get", err)
			wantUnavailable(t, "Delete", s.Delete(t.Context(), id))
			for _, err = range s.List(t.Context(), "acc", "") {
				wantUnavailable(t, "List", err)
			}
			if err := srv.Start(); err != nil {
				t.Fatal(err)
			}
			wantHeld(t, s, id, old)
			// What could not be aborted then is aborted once the store works
			// again.
			put(t, s, logservice.ID{Account: "acc", Key: "other"}, old)
			wantNothingBegun(t, srv, bucket, "acc/log!.log")
		})
	}
}

// faults is a proxy before a store that answers some requests itself.
type faults struct {
	*httptest.Server
	answer atomic.Pointer[func(w http.ResponseWriter, r *http.Request) (done bool)]
}

func (f *faults) with(answer func(w http.ResponseWriter, r *http.Request) bool) {
	f.answer.Store(&answer)
}

// viaFaultyProxy returns a store that is reached through a proxy, over TLS if
// requested.
func viaFaultyProxy(t *testing.T, srv *s3test.Server) *faults {
	t.Helper()
	target, err := url.Parse(srv.Endpoint())
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target); r.Out.Host = r.In.Host }, // the host is signed
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	f := &faults{}
	f.with(func(http.ResponseWriter, *http.Request) bool { return false })
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !(*f.answer.Load())(w, r) {
			proxy.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

func TestAStoreThatAnswersErrorsIsTriedAgainAndThenUnavailable(t *testing.T) {
	t.Parallel() // it waits more than it works
	srv := s3test.Run(t, s3test.MinIO)
	f := viaFaultyProxy(t, srv)
	f.Start()
	bucket := srv.Bucket(t)
	c := settings(srv, bucket)
	c.Endpoint = f.URL
	s := open(t, c)
	old := storetest.Text(2 * part)
	put(t, s, id, old)

	for _, status := range []int{http.StatusInternalServerError, http.StatusServiceUnavailable} {
		var n atomic.Int64
		f.with(func(w http.ResponseWriter, r *http.Request) bool { // two of three requests fail
			if n.Add(1)%3 == 0 {
				return false
			}
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			return true
		})
		content := storetest.Noise(part + status)
		put(t, s, logservice.ID{Account: "acc", Key: "some"}, content)
		wantHeld(t, s, logservice.ID{Account: "acc", Key: "some"}, content)
		f.with(func(w http.ResponseWriter, r *http.Request) bool {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
			return true
		})
		what := fmt.Sprint(status, " ")
		_, err := s.Get(t.Context(), id)
		wantUnavailable(t, what+"Get", err)
		wantUnavailable(t, what+"Put", s.Put(t.Context(), id, strings.NewReader("new"), logs.BlobInfo{}))
		wantUnavailable(t, what+"Delete", s.Delete(t.Context(), id))
		for _, err := range s.List(t.Context(), "acc", "") {
			wantUnavailable(t, what+"List", err)
		}
	}
	// The last part, and the completion.
	for _, last := range []string{"partNumber=2", "uploadId="} {
		f.with(func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.RawQuery, last) || r.Method == http.MethodDelete || last == "uploadId=" && r.Method != http.MethodPost {
				return false
			}
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		})
		wantUnavailable(t, "Put, "+last, s.Put(t.Context(), id, bytes.NewReader(storetest.Noise(part+5)), logs.BlobInfo{}))
		wantNothingBegun(t, srv, bucket, "acc/log!.log")
	}
	f.with(func(http.ResponseWriter, *http.Request) bool { return false })
	wantHeld(t, s, id, old)
}

func TestAStoreThatHangsIsUnavailableInTime(t *testing.T) {
	t.Parallel() // it waits only
	srv := s3test.Run(t, s3test.Versity)
	f := viaFaultyProxy(t, srv)
	f.Start()
	c := settings(srv, srv.Bucket(t))
	c.Endpoint = f.URL
	s := open(t, c)
	put(t, s, id, storetest.Text(10))
	hung := make(chan struct{})
	t.Cleanup(func() { close(hung) }) // before the proxy is closed
	f.with(func(_ http.ResponseWriter, r *http.Request) bool {
		_, _ = io.Copy(io.Discard, r.Body)
		<-hung
		return true
	})
	done := make(chan struct{})
	calls := map[string]func() error{
		"Get":    func() error { _, err := s.Get(t.Context(), id); return err },
		"Put":    func() error { return s.Put(t.Context(), id, strings.NewReader("new"), logs.BlobInfo{}) },
		"Delete": func() error { return s.Delete(t.Context(), id) },
		"List": func() (last error) {
			for _, last = range s.List(t.Context(), "acc", "") {
			}
			return last
		},
	}
	for name, call := range calls {
		go func() {
			clock := proctest.StartClock(t)
			wantUnavailable(t, name, call())
			if took := clock.Elapsed(); took > 9500*time.Millisecond {
				t.Errorf("%s took %v", name, took)
			}
			done <- struct{}{}
		}()
	}
	for range calls {
		<-done
	}
}

func TestAnInterruptedDownloadIsResumed(t *testing.T) {
	for _, kind := range s3test.Kinds() {
		srv := s3test.Run(t, kind)
		content := storetest.Noise(3*part + 12345)
		bucket := srv.Bucket(t)
		put(t, open(t, settings(srv, bucket)), id, content)
		p, err := faultproxy.Listen(faultproxy.Config{Target: srv.Addr, Down: faultproxy.Range{Min: 1 << 20, Max: 4 << 20}, Seed: 7})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = p.Close() })
		c := settings(srv, bucket)
		c.Endpoint = "http://" + p.Addr()
		wantHeld(t, open(t, c), id, content)
		if p.Cuts() < 10 {
			t.Errorf("%s: only %d cuts", kind, p.Cuts())
		}
	}
}

func TestABodyThatIsNeverCompleteIsAnErrorAndNotAnEnd(t *testing.T) {
	srv := s3test.Run(t, s3test.MinIO)
	f := viaFaultyProxy(t, srv)
	f.Start()
	c := settings(srv, srv.Bucket(t))
	c.Endpoint = f.URL
	s := open(t, c)
	content := storetest.Text(1 << 20)
	put(t, s, id, content)
	f.with(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodGet || r.URL.Query().Has("list-type") {
			return false
		}
		// The correct headers, but only the first bytes: of the requested part,
		// once; of no later part.
		etag := r.Header.Get("If-Match")
		var first, last int
		_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &first, &last)
		h := w.Header()
		h.Set("ETag", etag)
		h.Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
		h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", first, last, len(content)))
		h.Set("Content-Length", fmt.Sprint(last-first+1))
		w.WriteHeader(http.StatusPartialContent)
		if first == 0 {
			_, _ = w.Write(content[:1000])
		}
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	got, err := get(t, s, id)
	wantUnavailable(t, "reading", err)
	if !bytes.Equal(got, content[:1000]) {
		t.Errorf("%d bytes came", len(got))
	}
	// The bytes of another object are not returned as those of this one.
	for name, change := range map[string]func(http.Header, *http.Request){
		"etag":   func(h http.Header, r *http.Request) { h.Set("ETag", `"other"`) },
		"range":  func(h http.Header, _ *http.Request) { h.Set("Content-Range", "bytes 5-1048580/1048581") },
		"length": func(h http.Header, _ *http.Request) { h.Set("Content-Range", "bytes 0-1048575/2000000") },
		"whole":  func(h http.Header, _ *http.Request) { h.Del("Content-Range") },
	} {
		f.with(func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method != http.MethodGet || r.URL.Query().Has("list-type") {
				return false
			}
			h := w.Header()
			h.Set("ETag", r.Header.Get("If-Match"))
			h.Set("Last-Modified", time.Now().UTC().Format(http.TimeFormat))
			h.Set("Content-Range", "bytes 0-1048575/1048576")
			change(h, r)
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(content)
			return true
		})
		if got, err := get(t, s, id); err == nil {
			t.Errorf("%s: %d bytes were taken", name, len(got))
		}
	}
}

func TestAnUploadOverABadConnectionArrivesOrLeavesNothing(t *testing.T) {
	t.Parallel() // it waits more than it works
	srv := s3test.Run(t, s3test.MinIO)
	bucket := srv.Bucket(t)
	direct := open(t, settings(srv, bucket))
	p, err := faultproxy.Listen(faultproxy.Config{Target: srv.Addr, Up: faultproxy.Range{Min: 4 << 20, Max: 40 << 20}, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	c := settings(srv, bucket)
	c.Endpoint = "http://" + p.Addr()
	s := open(t, c)
	want := storetest.Text(10)
	put(t, direct, id, want)
	for i := range 6 {
		content := storetest.Noise(3*part + i)
		if err := s.Put(t.Context(), id, bytes.NewReader(content), logs.BlobInfo{}); err == nil {
			want = content
		} else {
			wantUnavailable(t, "Put", err)
		}
		wantHeld(t, direct, id, want)
	}
	if p.Cuts() < 3 {
		t.Errorf("only %d cuts", p.Cuts())
	}
	put(t, direct, logservice.ID{Account: "acc", Key: "other"}, want)
	put(t, s, logservice.ID{Account: "acc", Key: "other"}, storetest.Text(10))
	wantNothingBegun(t, srv, bucket, "acc/log!.log")
}
