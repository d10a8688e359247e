package httpapi_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	httpapi "github.com/harness/log-service/internal/api/http"
	"github.com/harness/log-service/internal/api/http/public"
	"github.com/harness/log-service/internal/logs"
)

// tailer is a client of GET /stream.
type tailer struct {
	t    testing.TB
	resp *http.Response
	body *bufio.Reader
}

func (s *testServer) tail(target string, headers ...string) *tailer {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, s.url+target, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := s.client.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { resp.Body.Close() })
	return &tailer{s.t, resp, bufio.NewReader(resp.Body)}
}

// sees reads what must come next, byte for byte.
func (r *tailer) sees(want string) {
	r.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(r.body, got)
	if string(got[:n]) != want {
		r.t.Fatalf("got %q, %v; want %q", got[:n], err, want)
	}
}

// ends reads the rest, which must be want.
func (r *tailer) ends(want string) {
	r.t.Helper()
	if got, err := io.ReadAll(r.body); string(got) != want || err != nil {
		r.t.Fatalf("got %q, %v; want %q and the end", got, err, want)
	}
}

func event(seq int, line string) string { return fmt.Sprintf("id: %d\ndata: %s\n\n", seq, line) }

const (
	ping = ": ping\n"
	eof  = "event: error\ndata: eof\n\n"
)

func TestATailSeesLinesAsTheyComeAndThenTheEnd(t *testing.T) {
	s := startServer(t, httpapi.Config{Public: public.Config{Origins: []string{"*"}}})
	s.must(204, "POST", streamURL, "")
	s.must(204, "PUT", streamURL, `[{"out":"one\n"}, {"out":"two\n"}]`)
	r := s.tail(streamURL)
	want := http.Header{
		"Content-Type": {"text/event-stream"}, "Cache-Control": {"private, no-cache"}, "Connection": {"keep-alive"},
		"X-Accel-Buffering": {"no"}, "X-Log-State": {"live"}, "Access-Control-Allow-Origin": {"*"},
	}
	for name := range want {
		if got := r.resp.Header.Get(name); got != want.Get(name) {
			t.Errorf("header %s: %q, want %q", name, got, want.Get(name))
		}
	}
	r.sees(ping + event(1, `{"out":"one\n"}`) + event(2, `{"out":"two\n"}`))
	late := s.tail(streamURL, "Last-Event-ID", "1")
	late.sees(ping + event(2, `{"out":"two\n"}`))
	s.must(204, "PUT", streamURL, `[{"out":"three\n"}]`)
	r.sees(event(3, `{"out":"three\n"}`))
	s.must(204, "PUT", streamURL, `[{"out":"four\n"}]`)
	s.must(204, "DELETE", streamURL, "")
	r.ends(event(4, `{"out":"four\n"}`) + eof)
	late.ends(event(3, `{"out":"three\n"}`) + event(4, `{"out":"four\n"}`) + eof)
}

func TestAQuietTailIsPinged(t *testing.T) {
	s := startServer(t, httpapi.Config{Ping: 20 * time.Millisecond})
	s.must(204, "POST", streamURL, "")
	r := s.tail(streamURL)
	r.sees(ping + ping + ping)
	s.must(204, "DELETE", streamURL, "")
	rest, err := io.ReadAll(r.body)
	if err != nil || strings.ReplaceAll(string(rest), ping, "") != eof {
		t.Errorf("got %q, %v", rest, err)
	}
}

func TestAStoppingServerEndsTailsWithoutAnEndMark(t *testing.T) {
	stop := make(chan struct{})
	s := startServer(t, httpapi.Config{Stop: stop})
	s.must(204, "POST", streamURL, "")
	s.must(204, "PUT", streamURL, `[{"out":"one\n"}]`)
	r := s.tail(streamURL)
	r.sees(ping + event(1, `{"out":"one\n"}`))
	s.must(200, "GET", "/ready/healthz", "")
	close(stop)
	r.ends("")
	s.must(503, "GET", "/ready/healthz", "")
	s.must(200, "GET", "/healthz", "")
}

func TestAPositionBeyondTheEndIsWaitedFor(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	s.must(204, "POST", streamURL, "")
	r := s.tail(streamURL + "&after=2")
	r.sees(ping)
	s.must(204, "PUT", streamURL, `[{"out":"one"},{"out":"two"}]`)
	s.must(204, "PUT", streamURL, `[{"out":"three"}]`)
	r.sees(event(3, `{"out":"three"}`))
}

func TestALogThatIsArchivedWhileItIsReadIsReadOnFromTheArchive(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	s.must(204, "POST", streamURL, "")
	s.must(204, "PUT", streamURL, string(manyLines(3000)))
	first := s.tail(streamURL)
	var last string
	for range 1000 {
		line, err := first.body.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if id, ok := strings.CutPrefix(line, "id: "); ok {
			last = strings.TrimSpace(id)
		}
	}
	first.resp.Body.Close()
	s.must(204, "DELETE", streamURL, "")
	rest := s.tail(streamURL, "Last-Event-ID", last)
	got, err := io.ReadAll(rest.body)
	if err != nil || rest.resp.Header.Get("X-Log-State") != "archived" {
		t.Fatal(err, rest.resp.Header)
	}
	var want strings.Builder
	want.WriteString(ping)
	var from int
	_, _ = fmt.Sscan(last, &from)
	for i := from; i < 3000; i++ {
		want.WriteString(event(i+1, fmt.Sprintf(`{"pos":%d,"out":"line %d\n","time":"2026-01-02T15:04:05.678Z"}`, i, i)))
	}
	if string(got) != want.String()+eof {
		t.Errorf("%d bytes after line %s, want %d", len(got), last, want.Len()+len(eof))
	}
}

func TestAReaderThatTakesNothingIsCut(t *testing.T) {
	t.Parallel()
	s := startServer(t, httpapi.Config{Stall: 100 * time.Millisecond})
	s.must(204, "POST", streamURL, "")
	// The stall is for the reader alone: a busy machine may stop a writer as long.
	line := logs.Lines{Data: []byte(`{"out":"` + strings.Repeat("x", 900<<10) + `"}` + "\n"), Count: 1}
	for range 20 { // more than the sockets hold
		if _, err := s.service.Append(t.Context(), logservice.ID{Account: "A", Key: "k"}, line); err != nil {
			t.Fatal(err)
		}
	}
	conn := rawRequest(t, s, "GET "+streamURL+" HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := io.ReadFull(conn, make([]byte, 100)); err != nil { // it is there now
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); ; {
		if a := s.must(200, "GET", "/stream/info?accountID=A", ""); strings.Contains(a.body, `"subscribers":0`) {
			_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
			n, err := io.Copy(io.Discard, conn)
			if n >= 20*900<<10 {
				t.Errorf("the reader got all %d bytes", n)
			}
			t.Logf("cut after %d bytes: %v", n, err)
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the reader is still there")
		}
		<-time.After(20 * time.Millisecond)
	}
}

// BenchmarkFanOut pushes batches of ten lines to a hundred readers, beside a
// bare server that writes the same frames (and takes no batch in, and syncs
// nothing).
func BenchmarkFanOut(b *testing.B) {
	const readers = 100
	lines := make([]string, 10)
	frame := ""
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"level":"info","pos":%d,"out":"%s\n","at":"2026-01-02T15:04:05Z","args":null}`, i, strings.Repeat("x", 110))
		frame += event(1_000_000, lines[i])
	}
	body := "[" + strings.Join(lines, ",") + "]"

	b.Run("service", func(b *testing.B) {
		s := startServer(b, httpapi.Config{})
		s.must(204, "POST", streamURL, "")
		conns := openTails(b, s.url, readers)
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			s.must(204, "PUT", streamURL, body)
			if n++; n%100 == 0 || n == b.N {
				drain(b, conns, n*len(lines))
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*readers*len(lines)), "ns/delivery")
	})
	b.Run("bare", func(b *testing.B) {
		frames := make([]chan []byte, 0, readers)
		added := make(chan chan []byte, readers)
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			c := make(chan []byte, 100)
			added <- c
			_, _ = io.WriteString(w, ping)
			for {
				w.(http.Flusher).Flush()
				select {
				case f := <-c:
					_, _ = w.Write(f)
				case <-r.Context().Done():
					return
				}
			}
		})}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		go func() { _ = server.Serve(l) }()
		defer server.Close()
		conns := openTails(b, "http://"+l.Addr().String(), readers)
		for range conns {
			frames = append(frames, <-added)
		}
		b.ReportAllocs()
		n := 0
		for b.Loop() {
			for _, c := range frames {
				c <- []byte(frame)
			}
			if n++; n%100 == 0 || n == b.N {
				drain(b, conns, n*len(lines))
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*readers*len(lines)), "ns/delivery")
	})
}

// counted is a connection whose events are counted.
type counted struct {
	net.Conn
	seen int
	half bool // the last byte was a line break
}

func openTails(b testing.TB, url string, n int) []*counted {
	conns := make([]*counted, n)
	buf := make([]byte, 4096)
	for i := range conns {
		conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, "GET "+streamURL+" HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			b.Fatal(err)
		}
		for head := ""; !strings.Contains(head, ping); {
			m, err := conn.Read(buf)
			if err != nil {
				b.Fatal(err, head)
			}
			head += string(buf[:m])
		}
		conns[i] = &counted{Conn: conn}
	}
	return conns
}

// drain reads from all until each has seen want events.
func drain(b testing.TB, conns []*counted, want int) {
	buf := make([]byte, 64<<10)
	for _, c := range conns {
		for c.seen < want {
			_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
			n, err := c.Read(buf)
			if err != nil {
				b.Fatal(err)
			}
			for _, x := range buf[:n] {
				if x == '\n' && c.half {
					c.seen++
				}
				c.half = x == '\n'
			}
		}
	}
}

// TestAnIdleReaderCostsLittleMemory holds a thousand tails, and counts what
// the process has grown by. The limit is 14 KB a reader, and 2 KB for its
// other end in this test.
func TestAnIdleReaderCostsLittleMemory(t *testing.T) {
	const readers, limit = 1000, (14 + 2) << 10
	s := startServer(t, httpapi.Config{})
	s.must(204, "POST", streamURL, "")
	openTails(t, s.url, 10)
	before := memory()
	openTails(t, s.url, readers)
	each := (memory() - before) / readers
	t.Logf("%d bytes a reader", each)
	if each > limit && !raceEnabled() {
		t.Errorf("%d bytes a reader, at most %d", each, limit)
	}
}

func memory() int64 {
	var m runtime.MemStats
	for range 2 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// raceEnabled reports from the settings of the build whether the race detector
// is on: it makes everything larger.
func raceEnabled() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
