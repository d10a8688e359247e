package e2e_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/harness/log-service/internal/api/admission"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// TestStalledTailersDoNotGrowTheServer opens tails whose clients read nothing, and
// then appends more lines than the server may hold in memory. The memory per tail
// must not depend on how much it missed.
func TestStalledTailersDoNotGrowTheServer(t *testing.T) {
	if unraced(t) {
		return
	}
	const (
		budget  = 16 << 20 // LOG_SERVICE_MEMORY
		perTail = 64 << 10 // goroutines, buffers and the batches that a write waits with
		base    = 96 << 20 // the program, its store, the bodies in flight, garbage not yet collected
	)
	tailers := streamtest.Scale(200, 1000, 10_000)
	s := startServer(t, plainProgram(t), "LOG_SERVICE_MEMORY="+strconv.Itoa(budget))
	if _, err := s.memory("VmHWM"); err != nil {
		t.Skip(err)
	}
	w := newWire(s.url)
	const key = "stalled/log"
	if err := w.open(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	for range tailers {
		stall(t, s.addr, "/stream?accountID=acc&key="+key, 4<<10)
	}
	idle, err := s.memory("VmRSS")
	if err != nil {
		t.Fatal(err)
	}

	// A reader is not delayed by those that do not read.
	count := 0
	reader := tailer{wire: w, key: key, line: func(int64, []byte) error { count++; return nil }}
	var reading errgroup.Group
	reading.Go(func() error { return reader.run(t.Context()) })

	// 8 times the budget, and far more than the socket buffers of a client that
	// does not read.
	writer := streamtest.Writer{Name: "writer", Pad: 900}
	lines := 0
	for sent := 0; sent < 8*budget; {
		batch := writer.Lines(500)
		if _, err := w.push(t.Context(), key, "", batch); err != nil {
			t.Fatal(err)
		}
		lines += len(batch)
		sent += len(batch) * len(batch[0])
	}
	peak, err := s.memory("VmHWM")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d stalled tails: RSS %d MiB idle (%d KiB each), peak %d MiB", tailers, idle>>20, idle>>10/int64(tailers), peak>>20)
	if most := int64(base + budget + tailers*perTail); peak > most {
		t.Errorf("peak RSS is %d MiB, want at most %d", peak>>20, most>>20)
	}

	if err := w.close(t.Context(), key, "snapshot=false"); err != nil {
		t.Fatal(err)
	}
	if err := reading.Wait(); err != nil || count != lines {
		t.Errorf("the one who reads got %d of %d lines, %v", count, lines, err)
	}
	if os.Getenv(streamtest.LongEnv) != "" {
		s.stop() // takes the 12 s allowed for requests in progress
	}
}

// TestStalledTailersOfALongLogShareTheBudget opens tails at random positions of a
// log, live and archived, that is many times larger than the memory budget. Their
// clients read nothing; some resume later and miss nothing.
func TestStalledTailersOfALongLogShareTheBudget(t *testing.T) {
	if unraced(t) {
		return
	}
	const (
		budget  = 32 << 20
		perTail = 40 << 10 // goroutines and buffers
		base    = 96 << 20
		stored  = 32 << 20  // of archives, beside the budget: what they share, and 16 readers with lines of their own
		size    = 128 << 20 // of the log
		resumed = 5
		// What a quiet server with that log keeps: 35 MiB when new, of which 23 are
		// the program itself, 7 for the encoder of its last archive, and the runtime's
		// own. It never frees what it knows of a goroutine (440 bytes), and a tail
		// has three of them at its start.
		settled      = 60 << 20
		perGoroutine = 512
	)
	tailers := streamtest.Scale(200, 2000, 15_000) // below the usual limit of descriptors
	s := startServer(t, plainProgram(t), "LOG_SERVICE_MEMORY="+strconv.Itoa(budget))
	if _, err := s.memory("VmHWM"); err != nil {
		t.Skip(err)
	}
	w := newWire(s.url)
	const key = "stalled/long"
	if err := w.open(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	writer := streamtest.Writer{Name: "writer", Pad: 900}
	var lines []string
	for sent := 0; sent < size; {
		batch := writer.Lines(500)
		if _, err := w.push(t.Context(), key, "", batch); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, batch...)
		sent += len(batch) * len(batch[0])
	}
	stallMany := func(kind string) {
		t.Helper()
		s.settleMemory(settled + 3*perGoroutine*int64(tailers))
		before, err := s.memory("VmRSS")
		if err != nil {
			t.Fatal(err)
		}
		var tails []net.Conn
		begun := time.Now()
		var places []int
		for i := range tailers {
			after, buffer := rand.IntN(len(lines)), 4<<10
			if i >= tailers-resumed { // through a small buffer it would take minutes
				after, buffer = rand.IntN(len(lines)/2), 1<<20
			}
			places = append(places, after)
			tails = append(tails, stall(t, s.addr, fmt.Sprintf("/stream?accountID=acc&key=%s&after=%d", key, after), buffer))
		}
		// A new reader sees everything, despite all of them.
		for range 3 {
			after := rand.IntN(len(lines) / 2)
			follow(t, s.url, key, after, lines, min(len(lines), after+20_000))
		}
		peak, err := s.memory("VmHWM")
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%d stalled tails of %s log of %d MiB: RSS %d MiB before, peak %d MiB", tailers, kind, size>>20, before>>20, peak>>20)
		if most := int64(base + budget + stored + tailers*perTail); peak > most {
			t.Errorf("peak RSS is %d MiB, want at most %d", peak>>20, most>>20)
		}
		for i := tailers - resumed; i < tailers; i++ {
			last := min(len(lines), places[i]+20_000)
			at := goOn(t, tails[i], begun, places[i], lines, last)
			follow(t, s.url, key, at, lines, last) // like a client that was disconnected
		}
		for _, c := range tails {
			_ = c.Close()
		}
	}
	stallMany("a live")
	if err := w.close(t.Context(), key, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.archive(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	stallMany("an archived")
}

// follow reads the lines from after up to last as a new reader.
func follow(t *testing.T, url, key string, after int, lines []string, last int) {
	t.Helper()
	resp, err := http.Get(fmt.Sprintf("%s/stream?accountID=acc&key=%s&after=%d", url, key, after))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	sees(t, bufio.NewReader(resp.Body), after, lines, last)
}

// goOn reads what a stalled tail has not read yet, like follow. If it has been
// stalled since begun for so long that the server may have closed its
// connection, this returns after which line it ended; otherwise last.
func goOn(t *testing.T, c net.Conn, begun time.Time, after int, lines []string, last int) int {
	t.Helper()
	_ = c.SetDeadline(time.Now().Add(startLimit))
	resp, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(answered), c)), nil)
	if err != nil {
		t.Fatal(err)
	}
	at, err := reads(bufio.NewReader(resp.Body), after, lines, last)
	if errors.Is(err, errOther) || err != nil && time.Since(begun) < admission.DefaultStall {
		t.Fatal(err)
	}
	return at
}

func sees(t *testing.T, in *bufio.Reader, after int, lines []string, last int) {
	t.Helper()
	if _, err := reads(in, after, lines, last); err != nil {
		t.Fatal(err)
	}
}

var errOther = errors.New("not the line that was written")

// reads returns the last line that it has read completely.
func reads(in *bufio.Reader, after int, lines []string, last int) (at int, err error) {
	want := ": ping\n"
	for at = after - 1; at < last; at++ { // the ping comes first
		got := make([]byte, len(want))
		if _, err := io.ReadFull(in, got); err != nil {
			return max(at, after), fmt.Errorf("after line %d: %w", at, err)
		}
		if string(got) != want {
			return max(at, after), fmt.Errorf("after line %d: %w: got\n%.200s\nwant\n%.200s", at, errOther, got, want)
		}
		if at+1 < last {
			want = fmt.Sprintf("id: %d\ndata: %s\n\n", at+2, lines[at+1])
		}
	}
	return last, nil
}

// answered is the start of every tail's response.
const answered = "HTTP/1.1 200"

// stall requests path and reads only the start of the response. Its receive buffer
// is small, so that the server's writes soon block.
func stall(t *testing.T, addr, path string, buffer int) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.(*net.TCPConn).SetReadBuffer(buffer); err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(startLimit))
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, len(answered))
	if _, err := io.ReadFull(c, head); err != nil || string(head) != answered {
		t.Fatalf("tail answers %q, %v", head, err)
	}
	return c
}

// settleMemory waits until the server has returned what its last burst took, down
// to most bytes, and lets the peak (VmHWM) begin there.
func (s *process) settleMemory(most int64) {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(startLimit); ; {
		rss, err := s.memory("VmRSS")
		if err != nil {
			s.t.Fatal(err)
		}
		if rss <= most {
			break
		}
		select {
		case <-tick.C:
		case <-late:
			s.t.Fatalf("a quiet server keeps %d MiB", rss>>20)
		}
	}
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.cmd.Process.Pid), []byte("5"), 0); err != nil {
		s.t.Fatal(err)
	}
}

// memory returns the VmRSS or VmHWM (peak) of the process in bytes.
func (s *process) memory(name string) (int64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, fmt.Errorf("this system does not tell the memory of a process: %w", err)
	}
	for row := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(row, name+":"); ok {
			kib, err := strconv.ParseInt(strings.Fields(v)[0], 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no %s among the figures of the process", name)
}
