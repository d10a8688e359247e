package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	logservice "github.com/harness/log-service"
)

func TestStatusesMapToErrors(t *testing.T) {
	for _, c := range []struct {
		status  int
		message string
		want    error
	}{
		{400, "stream: not found", logservice.ErrStreamNotFound},
		{404, "stream: not found", logservice.ErrStreamNotFound},
		{404, "blob: not found", logservice.ErrBlobNotFound},
		{400, "invalid JSON at byte 7", logservice.ErrInvalid},
		{400, "no token in header", logservice.ErrUnauthorized},
		{401, "who are you", logservice.ErrUnauthorized},
		{403, "operation not permitted for accountID: A", logservice.ErrForbidden},
		{409, "the blob is not empty", logservice.ErrConflict},
		{413, "body over 64 MiB", logservice.ErrTooLarge},
		{501, "not here", logservice.ErrUnsupported},
		{503, "the disk is full", logservice.ErrUnavailable},
	} {
		cl, _ := scripted(t, func(int, request) (*http.Response, error) { return refused(c.status, c.message) }, WithRetry(Retry{}))
		_, err := cl.Append(t.Context(), key, nil)
		e, ok := errors.AsType[*Error](err)
		if !errors.Is(err, c.want) || !ok || !strings.Contains(err.Error(), c.message) {
			t.Errorf("%d %s: %v", c.status, c.message, err)
			continue
		}
		if e.Status != c.status || e.Message != c.message || e.Hint != "h" || e.Code != "c" || e.RequestID != "r" {
			t.Errorf("%d %s: %+v", c.status, c.message, e)
		}
	}
}

func TestAGapIsRefusedWithTheExpectedSequence(t *testing.T) {
	for name, answer := range map[string]func() (*http.Response, error){
		"header": func() (*http.Response, error) {
			return refused(409, "offset 9 leaves a gap", logservice.HeaderNextSequence, "5")
		},
		"body": func() (*http.Response, error) { return answered(409, `{"error_msg":"x","expected":5}`) },
	} {
		c, _ := scripted(t, func(int, request) (*http.Response, error) { return answer() })
		_, err := c.Append(t.Context(), key, nil, Offset(9))
		gap, ok := errors.AsType[*logservice.SequenceError](err)
		if !ok || *gap != (logservice.SequenceError{Offset: 9, Expected: 5}) || !errors.Is(err, logservice.ErrConflict) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnAnswerNotFromALogServiceIsReportedAsSuch(t *testing.T) {
	c, _ := scripted(t, func(int, request) (*http.Response, error) { return answered(404, "<html>nothing here") })
	_, err := c.Download(t.Context(), key)
	if errors.Is(err, logservice.ErrBlobNotFound) || !errors.Is(err, logservice.ErrUnsupported) {
		t.Errorf("error %v", err)
	}
}

func TestRequestsNameAccountKeyAndToken(t *testing.T) {
	c, s := scripted(t, func(int, request) (*http.Response, error) { return answered(204, "") },
		WithToken("secret"), WithAccount("acc"))
	if err := c.Open(t.Context(), "a:1/b c/ü", TTL(90*time.Second+1), Truncate()); err != nil {
		t.Fatal(err)
	}
	got := s.requests()[0]
	want := request{Method: "POST", Path: "/base/stream", Query: "accountID=acc&key=a%3A1%2Fb+c%2F%C3%BC&timeout_seconds=91&truncate=true",
		Header: http.Header{HeaderToken: {"secret"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnInvalidKeyIsNotSent(t *testing.T) {
	c, s := scripted(t, func(int, request) (*http.Response, error) { return answered(204, "") })
	for _, err := range []error{
		c.Open(t.Context(), "a/../b"), c.Delete(t.Context(), ""), c.CloseUnder(t.Context(), "/"),
		c.Upload(t.Context(), "a//b", strings.NewReader("x")),
	} {
		if !errors.Is(err, logservice.ErrInvalid) {
			t.Errorf("error %v", err)
		}
	}
	for _, err := range c.Tail(t.Context(), "a\x00") {
		if !errors.Is(err, logservice.ErrInvalid) {
			t.Errorf("error %v", err)
		}
	}
	if n := len(s.requests()); n > 0 {
		t.Errorf("%d requests", n)
	}
}

func TestTransientErrorsAreRetriedWithTheWholeBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, func(n int, r request) (*http.Response, error) {
			switch n {
			case 1:
				return nil, errCut
			case 2:
				return nil, io.EOF
			case 3, 4, 5, 6:
				return refused([]int{500, 502, 503, 504}[n-3], "later")
			}
			return answered(204, "", logservice.HeaderNextSequence, "3")
		})
		next, err := c.Append(t.Context(), key, []logservice.Line{{Out: "a"}, {Out: "b"}})
		if err != nil || next != 3 {
			t.Fatalf("next %d, error %v", next, err)
		}
		sent := s.requests()
		for _, r := range sent {
			if r.Body != sent[0].Body || !strings.Contains(r.Body, `"out":"b"`) {
				t.Errorf("sent %q", r.Body)
			}
		}
		if len(sent) != 7 {
			t.Errorf("%d requests", len(sent))
		}
	})
}

func TestRefusalsAreNotRetried(t *testing.T) {
	for _, status := range []int{301, 400, 401, 403, 404, 409, 413, 429, 501} {
		c, s := scripted(t, func(int, request) (*http.Response, error) { return refused(status, "no") })
		if err := c.Delete(t.Context(), key); err == nil {
			t.Errorf("%d: no error", status)
		}
		if n := len(s.requests()); n != 1 {
			t.Errorf("%d: %d requests", status, n)
		}
	}
}

func TestPausesGrowEndAndObeyTheServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var at []time.Duration
		start := time.Now()
		retry := Retry{Total: 30 * time.Second, First: time.Second, Most: 4 * time.Second}
		c, _ := scripted(t, func(n int, r request) (*http.Response, error) {
			at = append(at, time.Since(start))
			if n == 2 {
				return refused(503, "busy", "Retry-After", "10")
			}
			return nil, errCut
		}, WithRetry(retry))
		err := c.Delete(t.Context(), key)
		if !errors.Is(err, logservice.ErrUnavailable) {
			t.Fatalf("error %v", err)
		}
		bounds := [][2]time.Duration{{500 * time.Millisecond, time.Second}, {10 * time.Second, 10 * time.Second}, {2 * time.Second, 4 * time.Second}}
		for i, b := range bounds {
			if pause := at[i+1] - at[i]; pause < b[0] || pause > b[1] {
				t.Errorf("pause %d was %v, want %v to %v", i+1, pause, b[0], b[1])
			}
		}
		if last := at[len(at)-1]; last > retry.Total || last < retry.Total-retry.Most {
			t.Errorf("the last attempt was after %v", last)
		}
	})
}

func TestAPauseEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c, _ := scripted(t, func(int, request) (*http.Response, error) { return refused(503, "busy", "Retry-After", "30") })
		start := time.Now()
		err := c.Delete(ctx, key)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "busy") || time.Since(start) != time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

func TestAServerThatStopsAnsweringIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		block := transportFunc(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		c, _ := scripted(t, nil, WithHTTPClient(&http.Client{Transport: block}), WithRetry(Retry{}))
		start := time.Now()
		err := c.Delete(t.Context(), key)
		if !errors.Is(err, logservice.ErrUnavailable) || time.Since(start) != stallTimeout {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

type transportFunc func(*http.Request) (*http.Response, error)

func (f transportFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestASlowSourceIsNotTheServersFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, func(int, request) (*http.Response, error) { return answered(204, "") }, WithRetry(Retry{}))
		if err := c.Upload(t.Context(), key, &slow{strings.NewReader("abc"), 2 * stallTimeout}); err != nil {
			t.Fatal(err)
		}
		if got := s.requests()[0].Body; got != "abc" {
			t.Errorf("sent %q", got)
		}
	})
}

type slow struct {
	io.Reader
	pause time.Duration
}

func (s *slow) Read(p []byte) (int, error) {
	time.Sleep(s.pause)
	return s.Reader.Read(p[:1])
}

func TestAnUploadIsRewoundToItsInitialOffset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, func(n int, r request) (*http.Response, error) {
			if n < 3 {
				return nil, errCut
			}
			return answered(204, "")
		})
		src := strings.NewReader("header body")
		_, _ = src.Seek(7, io.SeekStart)
		if err := c.Upload(t.Context(), key, src); err != nil {
			t.Fatal(err)
		}
		for _, r := range s.requests() {
			if r.Body != "body" {
				t.Errorf("sent %q", r.Body)
			}
		}
	})
}

func TestABodyThatCannotBeRewoundIsSentOnce(t *testing.T) {
	c, s := scripted(t, func(n int, r request) (*http.Response, error) { return nil, errCut })
	err := c.Upload(t.Context(), key, unseekable("body"))
	if !errors.Is(err, logservice.ErrUnavailable) || len(s.requests()) != 1 {
		t.Errorf("%d requests, error %v", len(s.requests()), err)
	}
}

func TestABodyThatWasNotReadIsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		var got []byte
		transport := transportFunc(func(r *http.Request) (*http.Response, error) {
			if n++; n < 3 {
				return nil, errCut
			}
			got, _ = io.ReadAll(r.Body)
			return answered(204, "")
		})
		c, _ := scripted(t, nil, WithHTTPClient(&http.Client{Transport: transport}))
		if err := c.Upload(t.Context(), key, unseekable("body")); err != nil || string(got) != "body" {
			t.Errorf("got %q, error %v", got, err)
		}
	})
}

func TestAFailingSourceIsNotAFailingServer(t *testing.T) {
	broken := errors.New("bad disk")
	c, s := scripted(t, func(n int, r request) (*http.Response, error) { return answered(204, "") })
	err := c.Upload(t.Context(), key, io.MultiReader(strings.NewReader("x"), iotest.ErrReader(broken)))
	if !errors.Is(err, broken) || errors.Is(err, logservice.ErrUnavailable) || len(s.requests()) > 1 {
		t.Errorf("%d requests, error %v", len(s.requests()), err)
	}
}

func TestAppendingToABlobIsRetriedOnlyWhenNothingWasStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, func(n int, r request) (*http.Response, error) {
			if n == 1 {
				return refused(503, "busy")
			}
			return nil, errCut
		})
		err := c.Upload(t.Context(), key, strings.NewReader("x"), AtEnd())
		if err == nil || len(s.requests()) != 2 {
			t.Errorf("%d requests, error %v", len(s.requests()), err)
		}
	})
}

func TestCloseSucceedsWhenARetryFindsNoStream(t *testing.T) {
	for first, want := range map[int]bool{502: true, 503: false} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := scripted(t, func(n int, r request) (*http.Response, error) {
				if n == 1 {
					return refused(first, "later")
				}
				return refused(404, "stream: not found")
			})
			if err := c.Close(t.Context(), key); (err == nil) != want {
				t.Errorf("after %d: error %v", first, err)
			}
		})
	}
}

func TestTheTokenStaysWithItsServer(t *testing.T) {
	var elsewhere http.Header
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { elsewhere = r.Header }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(HeaderToken) != "secret" {
			t.Error("no token at its own server")
		}
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}))
	defer server.Close()
	c, err := New(server.URL, WithToken("secret"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseIdleConnections()
	body, err := c.Download(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	_ = body.Close()
	if elsewhere == nil || elsewhere.Get(HeaderToken) != "" {
		t.Errorf("the other server got %v", elsewhere)
	}
}

func TestAnInvalidServerAddressIsRefused(t *testing.T) {
	for _, bad := range []string{"localhost:8079", "ftp://x", "http://", "http://u:p@x", "http://x?a=b", "://", "http://x/#a"} {
		if _, err := New(bad); !errors.Is(err, logservice.ErrInvalid) {
			t.Errorf("%q: error %v", bad, err)
		}
	}
	if _, err := New("", WithAccount("a/b")); !errors.Is(err, logservice.ErrInvalid) {
		t.Errorf("account: error %v", err)
	}
	if _, err := New("", WithRetry(Retry{Total: time.Second, First: 2, Most: 1})); !errors.Is(err, logservice.ErrInvalid) {
		t.Errorf("retry: error %v", err)
	}
}

func TestInfoIsTyped(t *testing.T) {
	c, s := scripted(t, func(int, request) (*http.Response, error) {
		return answered(200, `{"streams":{"b/2":{"size":3,"bytes":10,"subscribers":1,"ttl":"4h59m0s"},"a":{"size":1},"b":{"ttl":"?"},"bc":{}}}`)
	})
	got, err := c.Info(t.Context(), Under("b"))
	want := []StreamInfo{{Key: "b"}, {Key: "b/2", Lines: 3, Bytes: 10, Subscribers: 1, TTL: 4*time.Hour + 59*time.Minute}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("error %v\n%s", err, diff)
	}
	if q := s.requests()[0].Query; q != "accountID=default&prefix=b" {
		t.Errorf("query %s", q)
	}
}

func TestLinksAreTyped(t *testing.T) {
	c, s := scripted(t, func(int, request) (*http.Response, error) {
		return answered(200, `{"link":"http://x/y?a=b&c=d","expires":3600000000000}`)
	})
	got, err := c.UploadLink(t.Context(), key, 2*time.Hour)
	if err != nil || got != (Link{"http://x/y?a=b&c=d", time.Hour}) {
		t.Errorf("%+v, error %v", got, err)
	}
	if r := s.requests()[0]; r.Path != "/base/blob/link/upload" || !strings.Contains(r.Query, "expires=2h0m0s") {
		t.Errorf("%+v", r)
	}
}

func TestExistsIsTrueFalseOrAnError(t *testing.T) {
	for answer, want := range map[string]bool{"true": true, "false\n": false} {
		c, _ := scripted(t, func(int, request) (*http.Response, error) { return answered(200, answer) })
		if got, err := c.Exists(t.Context(), key); got != want || err != nil {
			t.Errorf("%q: %v, error %v", answer, got, err)
		}
	}
	c, _ := scripted(t, func(int, request) (*http.Response, error) { return answered(200, "<html>") })
	if _, err := c.Exists(t.Context(), key); err == nil {
		t.Error("no error")
	}
}
