package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/harness/log-service/internal/stream/streamtest"
)

// TestStalledTailersDoNotGrowTheServer opens tails whose clients read
// nothing, and sends more lines than the server may hold in memory past them.
// What the server keeps for each of them must not depend on what they missed.
func TestStalledTailersDoNotGrowTheServer(t *testing.T) {
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
		stall(t, s.addr, "/stream?accountID=acc&key="+key)
	}
	idle, err := s.memory("VmRSS")
	if err != nil {
		t.Fatal(err)
	}

	// Somebody who reads is not held up by those who do not.
	count := 0
	reader := tailer{wire: w, key: key, line: func(int64, []byte) error { count++; return nil }}
	var reading errgroup.Group
	reading.Go(func() error { return reader.run(t.Context()) })

	// 8 times the budget, and far past what a socket takes for a client that
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
		s.stop() // takes the 12 s that requests in flight are given
	}
}

// stall asks for path and reads no more than the beginning of the answer. Its
// receive buffer is small, so that the server's writes soon wait.
func stall(t *testing.T, addr, path string) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(startLimit))
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path); err != nil {
		t.Fatal(err)
	}
	head := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(c, head); err != nil || !bytes.HasSuffix(head, []byte("200")) {
		t.Fatalf("tail answers %q, %v", head, err)
	}
}

// memory reads a figure of the process, in bytes: VmRSS, or its peak VmHWM.
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
