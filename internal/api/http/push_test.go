package httpapi_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"

	httpapi "github.com/harness/log-service/internal/api/http"
	"github.com/harness/log-service/internal/auth"
)

const streamURL = "/stream?accountID=A&key=k"

func gzipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func zstded(t testing.TB, b []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	return z.EncodeAll(b, nil)
}

func manyLines(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "%c{\"pos\":%d,\"out\":\"line %d\\n\",\"time\":\"2026-01-02T15:04:05.678Z\"}", "[,"[min(i, 1)], i, i)
	}
	b.WriteByte(']')
	return b.Bytes()
}

func TestBodiesMayBeCompressed(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	s.must(204, "POST", streamURL, "")
	body := manyLines(5000)
	for encoding, encoded := range map[string][]byte{"gzip": gzipped(t, body), "zstd": zstded(t, body), "identity": body} {
		s.must(204, "POST", streamURL+"&truncate=true", "")
		for range 2 { // the second one with a decoder that was used, and recognized
			a := s.do("PUT", streamURL, bytes.NewReader(encoded), "Content-Encoding", encoding)
			if a.status != 204 || a.header.Get("X-Log-Next-Sequence") != "5001" {
				t.Errorf("%s: %d %s, next %s", encoding, a.status, a.body, a.header.Get("X-Log-Next-Sequence"))
			}
		}
		for _, broken := range [][]byte{encoded[:len(encoded)/2], append(bytes.Clone(encoded[:len(encoded)/2]), body[:100]...)} {
			if a := s.do("PUT", streamURL, bytes.NewReader(broken), "Content-Encoding", encoding); a.status != 400 {
				t.Errorf("%s, broken: %d %s", encoding, a.status, a.body)
			}
		}
	}
}

func TestABodyOfUnknownLengthIsRead(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	s.must(204, "POST", streamURL, "")
	a := s.do("PUT", streamURL, io.MultiReader(bytes.NewReader(manyLines(5000)))) // hides its length
	if a.status != 204 || a.header.Get("X-Log-Next-Sequence") != "5001" {
		t.Errorf("%d %s", a.status, a.body)
	}
}

func TestBodiesOverTheLimitAreRefusedHoweverTheyAreSent(t *testing.T) {
	s := startServer(t, httpapi.Config{MaxBody: 1 << 20})
	s.must(204, "POST", streamURL, "")
	huge := bytes.Repeat([]byte(" "), 40<<20) // that compress to nearly nothing
	for encoding, body := range map[string]io.Reader{
		"gzip": bytes.NewReader(gzipped(t, huge)), "zstd": bytes.NewReader(zstded(t, huge)),
		"identity": bytes.NewReader(huge[:1<<20+1]), "": io.MultiReader(bytes.NewReader(huge[:1<<20+1])),
	} {
		a := s.do("PUT", streamURL, body, "Content-Encoding", encoding)
		if a.status != 413 || !strings.Contains(a.body, `"reason":"too_large"`) {
			t.Errorf("%q: %d %s", encoding, a.status, a.body)
		}
	}
	a := s.do("PUT", streamURL, strings.NewReader(strings.Repeat("\n", 100_000)), "Content-Type", "text/plain")
	if a.status != 413 {
		t.Errorf("a text that grows: %d %s", a.status, a.body)
	}
	fits := append(append([]byte("["), huge[:1<<20-2]...), ']')
	if a := s.do("PUT", streamURL, bytes.NewReader(fits)); a.status != 204 {
		t.Errorf("a body of the limit: %d %s", a.status, a.body)
	}
}

func TestALongLineIsCutNotRefused(t *testing.T) {
	s := startServer(t, httpapi.Config{MaxLine: 1000})
	s.must(204, "POST", streamURL, "")
	s.must(204, "PUT", streamURL, `[{"pos":1,"out":"`+strings.Repeat("é", 4000)+`","time":1}]`)
	s.must(204, "DELETE", streamURL, "")
	a := s.must(200, "GET", "/blob?accountID=A&key=k", "")
	if len(a.body) > 1001 || !strings.HasSuffix(a.body, `é","time":1,"truncated":8000}`+"\n") {
		t.Errorf("%d bytes, ending in %q", len(a.body), a.body[len(a.body)-40:])
	}
}

// rawRequest opens a connection and sends the start of a request.
func rawRequest(t *testing.T, s *testServer, start string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, start); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestBodiesInFlightShareABudget(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewRegistry()
	s := startServer(t, httpapi.Config{MaxBody: 8 << 20, BodyMemory: 1, Registry: metrics}) // raised to 24 MiB
	s.must(204, "POST", streamURL, "")
	const head = "PUT " + streamURL + " HTTP/1.1\r\nHost: x\r\nContent-Length: 8388608\r\n\r\n"
	// Clients that only claim a large body hold next to nothing of it.
	for range 20 {
		rawRequest(t, s, head)
	}
	await(t, metrics, "log_service_http_requests_in_flight", 20)
	// This one has sent so much of it that 8 MiB are taken.
	rawRequest(t, s, head+strings.Repeat(" ", 6<<20))
	await(t, metrics, "log_service_http_body_bytes", 8<<20)
	// The next one would hold 8 MiB beside the 4 MiB that it grows from.
	body := bytes.Repeat([]byte(" "), 7<<20)
	a, err := s.try("PUT", streamURL, bytes.NewReader(body))
	if err == nil && (a.status != 503 || a.header.Get("Retry-After") != "3") {
		t.Errorf("no capacity: %d %s, retry after %q", a.status, a.body, a.header.Get("Retry-After"))
	}
	s.must(204, "PUT", streamURL, `[{"out":"small bodies pass"}]`)
	// Of another account, the same body is within its share.
	const other = "/stream?accountID=B&key=k"
	s.must(204, "POST", other, "")
	s.must(204, "PUT", other, "["+strings.Repeat(" ", 7<<20)+"]")
}

// await waits until a gauge is at least want.
func await(t *testing.T, metrics *prometheus.Registry, name string, want float64) {
	t.Helper()
	for t.Context().Err() == nil {
		families, err := metrics.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == name && f.GetMetric()[0].GetGauge().GetValue() >= want {
				return
			}
		}
		runtime.Gosched()
	}
}

func TestABodyThatStallsIsCut(t *testing.T) {
	t.Parallel()
	s := startServer(t, httpapi.Config{Stall: 50 * time.Millisecond})
	s.must(204, "POST", streamURL, "")
	for _, target := range []string{streamURL, "/blob?accountID=A&key=k"} {
		method := map[bool]string{true: "PUT", false: "POST"}[target == streamURL]
		conn := rawRequest(t, s, method+" "+target+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n[")
		_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
		answer, err := io.ReadAll(conn)
		if err != nil || !bytes.HasPrefix(answer, []byte("HTTP/1.1 408 ")) {
			t.Errorf("%s: %q, %v", target, answer, err)
		}
	}
	if a := s.must(200, "GET", "/blob/exists?accountID=A&key=k", ""); a.body != "false" {
		t.Error("half a blob was stored")
	}
}

func TestRequestsGoOnOverOneConnection(t *testing.T) {
	t.Parallel()
	s := startServer(t, httpapi.Config{Stall: 50 * time.Millisecond})
	s.must(204, "POST", streamURL, "")
	s.must(204, "PUT", streamURL, `[{"out":"x"}]`)
	s.must(204, "DELETE", streamURL, "")
	s.must(200, "GET", streamURL, "")
	s.must(200, "GET", "/blob?accountID=A&key=k", "")
	// Deadlines of the requests before must not reach this one.
	<-time.After(150 * time.Millisecond)
	s.must(200, "GET", streamURL, "")
}

func BenchmarkPut100(b *testing.B) {
	body := hundred()
	for name, make := range map[string]func() http.Handler{
		"service": func() http.Handler { return serviceHandler(b, nil) },
		"token":   func() http.Handler { return serviceHandler(b, newVerifier(b)) },
		"discard": func() http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.WriteHeader(http.StatusNoContent)
			})
		},
	} {
		b.Run(name, func(b *testing.B) {
			h := make()
			r, err := http.NewRequest(http.MethodPut, streamURL, nil)
			if err != nil {
				b.Fatal(err)
			}
			r.ContentLength = int64(len(body))
			reader := bytes.NewReader(body)
			r.Body = io.NopCloser(reader)
			r.Header.Set("X-Harness-Token", tokenFor(b, testSecret, auth.Grant{Account: "A", Verbs: auth.Push}))
			w := &discard{header: http.Header{}}
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				reader.Reset(body)
				h.ServeHTTP(w, r)
				if w.status != 204 {
					b.Fatal(w.status)
				}
			}
		})
	}
}

// discard is the lightest http.ResponseWriter.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }

// hundred is a batch of lines without positions, so that none is recognized.
func hundred() []byte {
	var b bytes.Buffer
	for i := range 100 {
		fmt.Fprintf(&b, `%c{"level":"info","pos":%d,"out":"compile -o /tmp/work/b%03d/_pkg_.a -trimpath -p github.com/harness/log-service/internal -complete %d\n","at":"2026-01-02T15:04:05.123456Z","args":null}`, "[,"[min(i, 1)], i, i, i)
	}
	b.WriteByte(']')
	return b.Bytes()
}
