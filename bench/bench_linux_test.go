package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
			a := answer{onBody: func(p []byte) error { body = append(body, p...); return nil }}
			if err := pieces([]byte(c.wire), n, a.feed); err != nil {
				t.Fatalf("%s in pieces of %d: %v", c.name, n, err)
			}
			if !a.done() || a.status != c.status || string(body) != c.body {
				t.Fatalf("%s in pieces of %d: done %v, status %d, body %q", c.name, n, a.done(), a.status, body)
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
		var a answer
		if err := a.feed([]byte(wire)); err == nil {
			t.Errorf("accepted %.60q", wire)
		}
	}
}

func events(first, last int64) string {
	var b strings.Builder
	b.WriteString(": ping\n\n")
	for n := first; n <= last; n++ {
		fmt.Fprintf(&b, "id: %d\ndata: {\"pos\":%d,\"out\":\"@%019d x\"}\n\n", n, posBase+n-1, n*1000)
	}
	return b.String()
}

func TestATailCountsEveryLineAndReadsTheStamps(t *testing.T) {
	wire := []byte(events(1, 40) + "event: error\ndata: eof\n\n")
	for n := 1; n <= len(wire); n += 3 {
		var stamps []int64
		wanted := 0
		tl := tail{want: 30, every: 10, onStamp: func(s int64) { stamps = append(stamps, s) }, onWant: func() { wanted++ }}
		if err := pieces(wire, n, tl.feed); err != nil {
			t.Fatalf("pieces of %d: %v", n, err)
		}
		if tl.last != 40 || tl.frames != 40 || tl.pings != 1 || !tl.eof || wanted != 1 {
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
		var tl tail
		if err := tl.feed([]byte(wire)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestABatchStaysValidWhenItIsNumberedAndStamped(t *testing.T) {
	for _, n := range []int{1, 20, 100} {
		b := newBatch(newBuildLog(1), "h", "a/b", n, true)
		size := len(b.request)
		b.number(7)
		b.stamp(1234567890123456789)
		var lines []struct {
			Pos int64
			Out string
		}
		if err := json.Unmarshal(b.request[size-b.body:], &lines); err != nil {
			t.Fatal(err)
		}
		for i, l := range lines {
			if want := posBase + 7*int64(b.step) + int64(i); l.Pos != want {
				t.Errorf("batch of %d: line %d has position %d, want %d", n, i, l.Pos, want)
			}
		}
		if len(lines) != n || !strings.HasPrefix(lines[n-1].Out, "@1234567890123456789 ") || len(b.request) != size {
			t.Errorf("batch of %d: %d lines, last %q", n, len(lines), lines[n-1].Out)
		}
	}
}

func TestTheBuildLogLooksLikeOne(t *testing.T) {
	raw, err := io.ReadAll(newRawLog(4_000_000))
	if err != nil {
		t.Fatal(err)
	}
	lines := int(countLines(raw))
	small, err := compressed(raw, zstd.SpeedFastest)
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
	var h histogram
	for i := 1; i <= 10_000; i++ {
		h.add(time.Duration(i) * time.Microsecond)
	}
	for q, want := range map[float64]time.Duration{0.5: 5 * time.Millisecond, 0.99: 9900 * time.Microsecond} {
		if got := h.quantile(q); got < want || float64(got) > 1.04*float64(want) {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if h.most != 10*time.Millisecond {
		t.Errorf("most is %v", h.most)
	}
}

func TestOnlyThisMachineIsATarget(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:80", "[::1]:80", "localhost:80"} {
		if _, err := loopback(addr); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
	for _, addr := range []string{"192.0.2.1:80", "0.0.0.0:80", ":80", "example.com:80", "127.0.0.1", "[2001:db8::1]:80"} {
		if _, err := loopback(addr); err == nil {
			t.Errorf("%s: allowed", addr)
		}
	}
}

func TestTheReportReplacesOnlyWhatIsBetweenTheMarkers(t *testing.T) {
	got, err := replaceBetween("a\n"+beginMark+"\nold\n"+endMark+"\nz\n", "new\n")
	if err != nil || got != "a\n"+beginMark+"\nnew\n"+endMark+"\nz\n" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := replaceBetween("no marks", "x"); err == nil {
		t.Error("a page without markers was changed")
	}
}

func TestAReportMakesItsPageAndReplacesItself(t *testing.T) {
	page := filepath.Join(t.TempDir(), "2026-01-02.md")
	for _, text := range []string{"one\n", "two\n"} {
		if err := writeReport(page, text); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if want := strings.Replace(emptyPage, endMark, "two\n"+endMark, 1); string(got) != want || err != nil {
		t.Errorf("%q, %v, want %q", got, err, want)
	}
}

func TestBoundsScaleWithTheirReference(t *testing.T) {
	for _, c := range []struct {
		b        bound
		got, ref float64
		want     bool
	}{
		{atLeast(0.5), 50, 100, true},
		{atLeast(0.5), 49, 100, false},
		{atMost(3).plus(5), 8, 1, true},
		{atMost(3).plus(5), 8.1, 1, false},
		{atMost(0).plus(60), 61, 0, false},
	} {
		if got := c.b.met(c.got, c.ref); got != c.want {
			t.Errorf("%v of %v against %v: %v", c.b, c.got, c.ref, got)
		}
	}
}
