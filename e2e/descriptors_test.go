package e2e_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestConnectionsLeaveDescriptorsToTheLog opens more idle connections than the
// process may have files, while writes continue across segments.
func TestConnectionsLeaveDescriptorsToTheLog(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	limited := dir + "/limited"
	script := fmt.Sprintf("#!/bin/sh\nulimit -n 300\nexec %s \"$@\"\n", program(t))
	if err := os.WriteFile(limited, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	s := startServer(t, limited)
	w := newWire(s.url) // keeps its connection
	if err := w.open(t.Context(), "log"); err != nil {
		t.Fatal(err)
	}
	line := fmt.Sprintf(`{"out":"%s\n"}`, strings.Repeat("x", 100_000))
	want := int64(1)
	push := func() {
		t.Helper()
		lines := []string{line, line, line, line, line, line, line, line, line, line}
		next, err := w.push(t.Context(), "log", "", lines)
		if err != nil || next != want+10 {
			t.Fatalf("append at %d: %d, %v", want, next, err)
		}
		want = next
	}
	push()
	refused := 0
	for i := range 500 {
		c, err := net.Dial("tcp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(startLimit))
		request := "" // idle
		if i%2 == 0 {
			request = "GET /stream?accountID=acc&key=log&after=1000000 HTTP/1.1\r\nHost: x\r\n\r\n"
		}
		if _, err := io.WriteString(c, request); err != nil {
			refused++
			continue
		}
		if request == "" {
			continue
		}
		head := make([]byte, 12)
		if _, err := io.ReadFull(c, head); err != nil || string(head) == "HTTP/1.1 503" {
			refused++
		} else if string(head) != "HTTP/1.1 200" {
			t.Fatalf("a tail begins %q", head)
		}
	}
	if refused == 0 {
		t.Error("no connection was refused")
	}
	for range 60 { // some 60 MB: segments have 16
		push()
	}
	t.Logf("%d of 250 tails refused beside 250 idle connections; %d lines appended", refused, want-1)
}
