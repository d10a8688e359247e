package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	logservice "github.com/harness/log-service"
)

const endMark = "event: error\ndata: eof\n\n"

// numbered returns the events of lines first to last.
func numbered(first, last int64) string {
	var b strings.Builder
	for n := first; n <= last; n++ {
		fmt.Fprintf(&b, "id: %d\ndata: {\"out\":\"line %d\\n\",\"pos\":%d}\n\n", n, n, n-1)
	}
	return b.String()
}

func gapLine(first, last int64) string {
	return fmt.Sprintf("id: %d\ndata: {\"gap\":{\"first\":%d,\"last\":%d},\"out\":\"lost\\n\"}\n\n", last, first, last)
}

func cutAfter(text string) (*http.Response, error) {
	resp, _ := answered(200, "", logservice.HeaderState, logservice.StateLive)
	resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(": ping\n"+text), iotest.ErrReader(errCut)))
	return resp, nil
}

func streamed(text string) (*http.Response, error) {
	return answered(200, ": ping\n"+text, logservice.HeaderState, logservice.StateLive)
}

func unknown() (*http.Response, error) {
	return answered(200, ": ping\n"+endMark, logservice.HeaderState, logservice.StateUnknown)
}

func after(r request) int64 {
	q, _ := url.ParseQuery(r.Query)
	n, _ := strconv.ParseInt(q.Get("after"), 10, 64)
	return n
}

// summary reads a whole tail and writes it as words: the sequence of each line,
// -n-m for a gap, and the last error.
func summary(lines func(func(logservice.Line, error) bool)) (words string, last error) {
	var all []string
	for l, err := range lines {
		gap, ok := errors.AsType[*logservice.GapError](err)
		switch {
		case ok:
			all = append(all, fmt.Sprintf("-%d-%d", gap.First, gap.Last))
		case err != nil:
			last = err
		default:
			all = append(all, strconv.FormatInt(l.Seq, 10))
		}
	}
	return strings.Join(all, " "), last
}

func TestATailResumesAfterTheLastLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, func(n int, r request) (*http.Response, error) {
			switch n {
			case 1:
				return cutAfter(numbered(1, 2) + "id: 3\ndata: {\"out\":\"half")
			case 2:
				return nil, errCut
			case 3:
				return refused(503, "starting")
			case 4:
				return cutAfter("")
			case 5: // over a limit
				return answered(200, ": ping\n: too many readers\nretry: 5000\n", "Retry-After", "5")
			case 6: // graceful shutdown: no end mark
				return streamed(numbered(after(r)+1, 4))
			}
			return streamed(numbered(after(r)+1, 5) + endMark)
		})
		got, err := summary(c.Tail(t.Context(), key))
		if got != "1 2 3 4 5" || err != nil {
			t.Errorf("read %s, error %v", got, err)
		}
		var asked []int64
		for _, r := range s.requests() {
			asked = append(asked, after(r))
		}
		if diff := cmp.Diff([]int64{0, 2, 2, 2, 2, 2, 4}, asked); diff != "" {
			t.Error(diff)
		}
	})
}

func TestATailComesBackWhenTheServerSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, func(n int, _ request) (*http.Response, error) {
			if n == 1 {
				return answered(200, ": ping\n: too many readers\nretry: 5000\n", "Retry-After", "5")
			}
			return streamed(numbered(1, 1) + endMark)
		})
		began := time.Now()
		if got, err := summary(c.Tail(t.Context(), key)); got != "1" || err != nil || time.Since(began) < 5*time.Second {
			t.Errorf("read %s, error %v, after %v", got, err, time.Since(began))
		}
		impatient, _ := scripted(t, func(int, request) (*http.Response, error) {
			return answered(200, ": ping\n: too many readers\nretry: 5000\n", "Retry-After", "5")
		})
		if _, err := summary(impatient.Tail(t.Context(), key, Patience(time.Second))); !errors.Is(err, logservice.ErrUnavailable) || !strings.Contains(err.Error(), "too many readers") {
			t.Errorf("no reason: %v", err)
		}
	})
}

func TestATailBeginsAfterASequenceAndDecodesLines(t *testing.T) {
	c, _ := scripted(t, func(n int, r request) (*http.Response, error) {
		return streamed(numbered(after(r)+1, 8) + endMark)
	})
	for l, err := range c.Tail(t.Context(), key, After(7)) {
		if diff := cmp.Diff(logservice.Line{Seq: 8, Pos: 7, Out: "line 8\n"}, l); diff != "" || err != nil {
			t.Errorf("error %v\n%s", err, diff)
		}
	}
}

func TestGapsAreReportedAndReadingContinues(t *testing.T) {
	for name, c := range map[string]struct{ in, want string }{
		"said by the server":                    {numbered(1, 2) + gapLine(3, 6) + numbered(7, 7), "1 2 -3-6 7"},
		"at the start":                          {gapLine(1, 4) + numbered(5, 5), "-1-4 5"},
		"that began before":                     {numbered(1, 2) + gapLine(2, 3) + numbered(4, 4), "1 2 -3-3 4"},
		"not said":                              {numbered(1, 1) + numbered(5, 5), "1 -2-4 5"},
		"not said, before one that is":          {numbered(1, 1) + gapLine(3, 4), "1 -2-4"},
		"repeated lines":                        {numbered(1, 3) + numbered(2, 4), "1 2 3 4"},
		"made up, larger than its place":        {numbered(1, 1) + "id: 2\ndata: {\"gap\":{\"first\":1,\"last\":900}}\n\n", "1 2"},
		"inside a text, which is no gap":        {"id: 1\ndata: {\"out\":\"{\\\"gap\\\":{\\\"last\\\":1}}\"}\n\n", "1"},
		"inside other members, which is no gap": {"id: 1\ndata: {\"x\":{\"gap\":{\"first\":1,\"last\":1}}}\n\n", "1"},
	} {
		cl, _ := scripted(t, func(int, request) (*http.Response, error) { return streamed(c.in + endMark) })
		if got, err := summary(cl.Tail(t.Context(), key)); got != c.want || err != nil {
			t.Errorf("%s: read %s, want %s; error %v", name, got, c.want, err)
		}
	}
}

func TestAnUnknownLogIsNotFound(t *testing.T) {
	c, s := scripted(t, func(int, request) (*http.Response, error) { return unknown() })
	if got, err := summary(c.Tail(t.Context(), key)); got != "" || !errors.Is(err, logservice.ErrStreamNotFound) || len(s.requests()) != 1 {
		t.Errorf("read %s, error %v", got, err)
	}
}

func TestALogThatVanishesIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := scripted(t, func(n int, r request) (*http.Response, error) {
			if n == 1 {
				return cutAfter(numbered(1, 2))
			}
			return unknown()
		})
		if got, err := summary(c.Tail(t.Context(), key)); got != "1 2" || !errors.Is(err, logservice.ErrStreamNotFound) || !strings.Contains(err.Error(), "at line 2") {
			t.Errorf("read %s, error %v", got, err)
		}
	})
}

func TestARefusedTailIsNotRetried(t *testing.T) {
	c, s := scripted(t, func(int, request) (*http.Response, error) { return refused(403, "no") })
	if _, err := summary(c.Tail(t.Context(), key)); !errors.Is(err, logservice.ErrForbidden) || len(s.requests()) != 1 {
		t.Errorf("%d requests, error %v", len(s.requests()), err)
	}
}

func TestALogWhoseLinesHaveNoSequenceIsReadUntilACut(t *testing.T) {
	c, s := scripted(t, func(int, request) (*http.Response, error) { return cutAfter("data: {\"out\":\"a\"}\n\n") })
	if got, err := summary(c.Tail(t.Context(), key)); got != "0" || !errors.Is(err, logservice.ErrUnavailable) || len(s.requests()) != 1 {
		t.Errorf("read %s, %d requests, error %v", got, len(s.requests()), err)
	}
}

func TestASilentConnectionIsReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		c, s := scripted(t, nil)
		s.answer = func(n int, r request) (*http.Response, error) {
			if n > 1 {
				return streamed(numbered(after(r)+1, 3) + endMark)
			}
			resp, _ := streamed("")
			read, write := io.Pipe()
			resp.Body = read
			go func() {
				_, _ = io.WriteString(write, numbered(1, 1))
				for range 4 { // pings are not silence
					time.Sleep(15 * time.Second)
					_, _ = io.WriteString(write, ": ping\n")
				}
			}()
			return resp, nil
		}
		// Unlike the bodies of net/http, a pipe does not notice that the request ended.
		c.http.Transport = closing{s}
		got, err := summary(c.Tail(t.Context(), key))
		if took := time.Since(start); got != "1 2 3" || err != nil || took < 60*time.Second+silence || took > 62*time.Second+silence {
			t.Errorf("read %s after %v, error %v", got, took, err)
		}
	})
}

// closing ends bodies with their request.
type closing struct{ http.RoundTripper }

func (c closing) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.RoundTripper.RoundTrip(r)
	if err == nil {
		body := resp.Body
		context.AfterFunc(r.Context(), func() { _ = body.Close() })
	}
	return resp, err
}

func TestASlowReaderDoesNotLoseItsConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := scripted(t, func(_ int, r request) (*http.Response, error) {
			resp, err := streamed("")
			read, write := io.Pipe() // blocks until it is read
			resp.Body = read
			go func() {
				for n := after(r) + 1; n <= 3; n++ {
					_, _ = io.WriteString(write, numbered(n, n))
				}
				_, _ = io.WriteString(write, endMark)
			}()
			return resp, err
		})
		c.http.Transport = closing{s}
		n := 0
		for _, err := range c.Tail(t.Context(), key) {
			if n++; err != nil {
				t.Fatal(err)
			}
			time.Sleep(10 * silence)
		}
		if n != 3 || len(s.requests()) != 1 {
			t.Errorf("%d lines over %d connections", n, len(s.requests()))
		}
	})
}

func TestATailGivesUpAfterItsPatienceWithoutProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := time.Time{}
		c, _ := scripted(t, func(n int, r request) (*http.Response, error) {
			if n <= 100 { // one line of progress each: over 100 s in all
				down = time.Now()
				return cutAfter(numbered(after(r)+1, after(r)+1))
			}
			return cutAfter("")
		}, WithRetry(Retry{Total: 1, First: time.Second, Most: 5 * time.Second}))
		got, err := summary(c.Tail(t.Context(), key, Patience(time.Minute)))
		took := time.Since(down)
		if !strings.HasSuffix(got, " 100") || !errors.Is(err, logservice.ErrUnavailable) || took > time.Minute || took < 50*time.Second {
			t.Errorf("gave up after %v: %v", took, err)
		}
	})
}

func TestATailEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		c, _ := scripted(t, func(int, request) (*http.Response, error) { return nil, errCut })
		if _, err := summary(c.Tail(ctx, key, Patience(0))); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

func TestATailCanBeReadAgain(t *testing.T) {
	c, _ := scripted(t, func(int, request) (*http.Response, error) { return streamed(numbered(1, 9) + endMark) })
	lines := c.TailRaw(t.Context(), key)
	for range 2 {
		for raw, err := range lines {
			if raw.Seq != 1 || err != nil || string(raw.JSON) != `{"out":"line 1\n","pos":0}` {
				t.Errorf("%d %s, error %v", raw.Seq, raw.JSON, err)
			}
			break
		}
	}
}

func TestLinesEndAtTheEndOfALiveLog(t *testing.T) {
	for name, headers := range map[string][]string{
		"from info":   {logservice.HeaderState, logservice.StateLive},
		"from header": {logservice.HeaderState, logservice.StateLive, logservice.HeaderNextSequence, "5"},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, _ := scripted(t, func(n int, r request) (*http.Response, error) {
				switch {
				case r.Path == "/base/stream/info":
					return answered(200, fmt.Sprintf(`{"streams":{%q:{"size":4}}}`, key))
				case n == 1:
					resp, _ := answered(200, "", headers...)
					resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(numbered(1, 2)), iotest.ErrReader(errCut)))
					return resp, nil
				}
				return streamed(numbered(after(r)+1, 9)) // more lines than existed at the start
			})
			if got, err := summary(c.Lines(t.Context(), key)); got != "1 2 3 4" || err != nil {
				t.Errorf("%s: read %s, error %v", name, got, err)
			}
			if got, err := summary(c.Lines(t.Context(), key, After(4))); got != "" || err != nil {
				t.Errorf("%s: read %s past the end, error %v", name, got, err)
			}
		})
	}
}

func TestLinesOfAnArchivedLogEndAtItsEnd(t *testing.T) {
	c, s := scripted(t, func(n int, r request) (*http.Response, error) {
		return answered(200, numbered(1, 3)+endMark, logservice.HeaderState, logservice.StateArchived)
	})
	if got, err := summary(c.Lines(t.Context(), key)); got != "1 2 3" || err != nil || len(s.requests()) != 1 {
		t.Errorf("read %s, error %v", got, err)
	}
}

func TestLinesOfALogThatIsClosedMeanwhileEndAtItsEnd(t *testing.T) {
	c, _ := scripted(t, func(n int, r request) (*http.Response, error) {
		if r.Path == "/base/stream/info" {
			return answered(200, `{"streams":{}}`)
		}
		return streamed(numbered(1, 3) + endMark)
	})
	if got, err := summary(c.Lines(t.Context(), key)); got != "1 2 3" || err != nil {
		t.Errorf("read %s, error %v", got, err)
	}
}
