package load

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// pieces hands b to feed in pieces of n bytes.
func pieces(b []byte, n int, feed func([]byte) error) error {
	for len(b) > 0 {
		k := min(n, len(b))
		if err := feed(bytes.Clone(b[:k])); err != nil {
			return err
		}
		b = b[k:]
	}
	return nil
}

func TestAnswersAreParsedWhereverTheyAreCut(t *testing.T) {
	for _, c := range []struct {
		name, wire, body string
		status           int
	}{
		{"no content", "HTTP/1.1 204 No Content\r\nDate: x\r\n\r\n", "", 204},
		{"length", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", "hello", 200},
		{"empty", "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "", 404},
		{"chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", "abc0123456789", 200},
		{"trailer", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\n\r\n", "a", 200},
	} {
		for n := 1; n <= len(c.wire); n++ {
			var body []byte
			a := Answer{OnBody: func(p []byte) error { body = append(body, p...); return nil }}
			if err := pieces([]byte(c.wire), n, a.Feed); err != nil {
				t.Fatalf("%s in pieces of %d: %v", c.name, n, err)
			}
			if !a.Done() || a.Status != c.status || string(body) != c.body {
				t.Fatalf("%s in pieces of %d: done %v, status %d, body %q", c.name, n, a.Done(), a.Status, body)
			}
		}
	}
}

func TestAnswersThatAreNotHTTPAreRefused(t *testing.T) {
	for _, wire := range []string{
		"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n",
		"HTTP/1.1 204 No Content\r\n\r\nmore",
		strings.Repeat("x", maxHead+1),
	} {
		var a Answer
		if err := a.Feed([]byte(wire)); err == nil {
			t.Errorf("accepted %.60q", wire)
		}
	}
}

func events(first, last int64) string {
	var b strings.Builder
	b.WriteString(": ping\n")
	for n := first; n <= last; n++ {
		fmt.Fprintf(&b, "id: %d\ndata: {\"pos\":%d,\"out\":\"@%019d x\"}\n\n", n, PosBase+n-1, n*1000)
	}
	return b.String()
}

func TestATailCountsEveryLineAndReadsTheStamps(t *testing.T) {
	wire := []byte(events(1, 40) + "event: error\ndata: eof\n\n")
	for n := 1; n <= len(wire); n += 3 {
		var stamps []int64
		wanted := 0
		tl := Tail{Want: 30, Every: 10, OnStamp: func(s int64) { stamps = append(stamps, s) }, OnWant: func() { wanted++ }}
		if err := pieces(wire, n, tl.Feed); err != nil {
			t.Fatalf("pieces of %d: %v", n, err)
		}
		if tl.Last != 40 || tl.Frames != 40 || tl.Pings != 1 || !tl.EOF || wanted != 1 {
			t.Fatalf("pieces of %d: %+v, wanted %d times", n, tl, wanted)
		}
		if fmt.Sprint(stamps) != "[10000 20000 30000 40000]" {
			t.Fatalf("stamps %v", stamps)
		}
	}
}

func TestATailRefusesWhatIsLostDoubledOrCut(t *testing.T) {
	line := func(id int) string { return fmt.Sprintf("id: %d\ndata: {\"pos\":1}\n\n", id) }
	for name, wire := range map[string]string{
		"lost":      line(1) + line(3),
		"doubled":   line(1) + line(1),
		"backwards": line(1) + line(2) + line(1),
		"no id":     line(1) + "data: {\"pos\":1}\n\n",
		"cut":       "id: 1\ndata: {\"pos\":1\n\n",
		"null":      "id: 1\ndata: null\n\n",
		"failed":    "event: error\ndata: broken\n\n",
		"garbage":   "hello\n",
	} {
		var tl Tail
		if err := tl.Feed([]byte(wire)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestABatchStaysValidWhenItIsNumberedAndStamped(t *testing.T) {
	for _, n := range []int{1, 20, 100} {
		b := NewBatch(NewBuildLog(1), "h", "a/b", n, true)
		size := len(b.Request)
		b.Number(7)
		b.Stamp(1234567890123456789)
		var lines []struct {
			Pos int64
			Out string
		}
		if err := json.Unmarshal(b.Request[size-b.Body:], &lines); err != nil {
			t.Fatal(err)
		}
		for i, l := range lines {
			if want := PosBase + 7*int64(b.step) + int64(i); l.Pos != want {
				t.Errorf("batch of %d: line %d has position %d, want %d", n, i, l.Pos, want)
			}
		}
		if len(lines) != n || !strings.HasPrefix(lines[n-1].Out, "@1234567890123456789 ") || len(b.Request) != size {
			t.Errorf("batch of %d: %d lines, last %q", n, len(lines), lines[n-1].Out)
		}
	}
}

func TestTheBuildLogLooksLikeOne(t *testing.T) {
	raw, err := io.ReadAll(NewRawLog(4_000_000))
	if err != nil {
		t.Fatal(err)
	}
	lines := int(CountLines(raw))
	small, err := Compressed(raw, zstd.SpeedFastest)
	if err != nil {
		t.Fatal(err)
	}
	size, ratio := len(raw)/lines, float64(len(raw))/float64(small)
	t.Logf("%d bytes of JSON a line, zstd %.1f : 1", size, ratio)
	if size < 160 || size > 210 || ratio < 7.5 || ratio > 12.5 {
		t.Errorf("%d bytes a line, zstd %.1f : 1: not like real build logs", size, ratio)
	}
}

func TestQuantilesAreWithinABucket(t *testing.T) {
	var h Histogram
	for i := 1; i <= 10_000; i++ {
		h.Add(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 5 * time.Millisecond, 0.99: 9900 * time.Microsecond} {
		if got := h.Quantile(q); got < want || float64(got) > 1.04*float64(want) {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if h.Most != 10*time.Millisecond {
		t.Errorf("most is %v", h.Most)
	}
}

func TestOnlyThisMachineIsATarget(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:80", "[::1]:80", "localhost:80"} {
		if _, err := Loopback(addr); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
	for _, addr := range []string{"192.0.2.1:80", "0.0.0.0:80", ":80", "example.com:80", "127.0.0.1", "[2001:db8::1]:80"} {
		if _, err := Loopback(addr); err == nil {
			t.Errorf("%s: allowed", addr)
		}
	}
}
