package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	logservice "github.com/harness/log-service"
)

// writerTo runs f with a Writer of a log in a synctest bubble. fault may answer
// the n-th request in place of the log, or, with late, after the log has
// processed it.
func writerTo(t *testing.T, fault func(n int) (resp *http.Response, late bool, err error), opts []WriterOption, f func(t *testing.T, w *Writer, m *memoryLog)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := &memoryLog{}
		c, _ := scripted(t, func(n int, r request) (*http.Response, error) {
			if fault != nil {
				if resp, late, err := fault(n); resp != nil || err != nil {
					if late {
						_, _ = m.put(r)
					}
					return resp, err
				}
			}
			return m.put(r)
		})
		w := c.Writer(t.Context(), key, opts...)
		f(t, w, m)
		_ = w.Close()
	})
}

func TestTextIsSentAsLines(t *testing.T) {
	writerTo(t, nil, nil, func(t *testing.T, w *Writer, m *memoryLog) {
		for _, p := range []string{"one\ntwo\nth", "ree\r\n", "\n", "", "four"} {
			if n, err := io.WriteString(w, p); n != len(p) || err != nil {
				t.Fatal(n, err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		want := []string{"one\n", "two\n", "three\r\n", "\n", "four"}
		if diff := cmp.Diff(want, m.texts()); diff != "" {
			t.Error(diff)
		}
		for i, l := range m.lines {
			if l.Pos != int64(i) || l.Level != "info" || l.Time.IsZero() || l.Args != nil {
				t.Errorf("%+v", l)
			}
		}
		if s := w.Stats(); s != (Stats{Lines: 5, Bytes: 20, Sent: 5, Reached: true}) {
			t.Errorf("%+v", s)
		}
		if _, err := w.Write([]byte("x\n")); err == nil {
			t.Error("a closed writer takes text")
		}
		if err := w.Close(); err != nil {
			t.Errorf("closed again: %v", err)
		}
	})
}

func TestALineWaitsBrieflyForOthers(t *testing.T) {
	writerTo(t, nil, nil, func(t *testing.T, w *Writer, m *memoryLog) {
		start := time.Now()
		for range 10 {
			fmt.Fprintln(w, "x")
			time.Sleep(linger / 20)
		}
		time.Sleep(time.Second)
		m.mu.Lock()
		defer m.mu.Unlock()
		if len(m.puts) != 2 { // the request for the next sequence, and one batch
			t.Errorf("%d requests", len(m.puts))
		}
		if took := m.at[0].Sub(start); took != linger {
			t.Errorf("the first line came after %v", took)
		}
	})
}

func TestAPartialLineIsShown(t *testing.T) {
	writerTo(t, nil, nil, func(t *testing.T, w *Writer, m *memoryLog) {
		start := time.Now()
		io.WriteString(w, "Password: \xc3")
		time.Sleep(time.Second)
		diff := cmp.Diff([]string{"Password: "}, m.texts())
		m.mu.Lock()
		defer m.mu.Unlock()
		if diff != "" || m.at[0].Sub(start) != partialAfter {
			t.Errorf("after %v:\n%s", m.at[0].Sub(start), diff)
		}
	})
}

func TestASplitCharacterStaysWhole(t *testing.T) {
	writerTo(t, nil, nil, func(t *testing.T, w *Writer, m *memoryLog) {
		io.WriteString(w, "a\xe2")
		time.Sleep(time.Minute)
		io.WriteString(w, "\x82")
		time.Sleep(time.Minute)
		io.WriteString(w, "\xac\n")
		_ = w.Close()
		if diff := cmp.Diff([]string{"a", "€\n"}, m.texts()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestALongLineIsCutIntoPiecesBelowTheLimit(t *testing.T) {
	writerTo(t, nil, nil, func(t *testing.T, w *Writer, m *memoryLog) {
		long := strings.Repeat("\x01€", maxPieceBytes) + "\n"
		io.WriteString(w, long)
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(m.texts(), ""); got != long {
			t.Error("the pieces are not the line")
		}
		for _, l := range m.lines {
			if n := len(appendLine(nil, l.Pos, piece{level: l.Level, at: l.Time, text: []byte(l.Out), partial: true})); n > logservice.DefaultMaxLineBytes {
				t.Errorf("a piece of %d bytes of JSON", n)
			}
		}
	})
}

func TestFlushWaitsForAcknowledgement(t *testing.T) {
	fault := func(n int) (*http.Response, bool, error) {
		time.Sleep(10 * time.Second) // a slow server
		return nil, false, nil
	}
	writerTo(t, fault, nil, func(t *testing.T, w *Writer, m *memoryLog) {
		io.WriteString(w, "a\nb")
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a\n", "b"}, m.texts()); diff != "" {
			t.Error(diff)
		}
		io.WriteString(w, "c")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := w.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
}

func TestWriteDoesNotWaitForTheNetworkUntilMemoryIsFull(t *testing.T) {
	fault := func(n int) (*http.Response, bool, error) {
		time.Sleep(10 * time.Second)
		return nil, false, nil
	}
	writerTo(t, fault, []WriterOption{Memory(1 << 20), Spill(0)}, func(t *testing.T, w *Writer, m *memoryLog) {
		line := strings.Repeat("x", 1023) + "\n"
		var written atomic.Int64
		var filled sync.WaitGroup
		filled.Go(func() {
			for range 4000 {
				if _, err := io.WriteString(w, line); err != nil {
					t.Error(err)
				}
				written.Add(1)
			}
		})
		synctest.Wait()
		if s, n := w.Stats(), written.Load(); n < 900 || n > 1024 || s.Pending > 1<<20+2048 {
			t.Errorf("%d lines written, %d bytes held", n, s.Pending)
		}
		filled.Wait()
		if err := w.Close(); err != nil || len(m.lines) != 4000 || w.Stats().Pending != 0 {
			t.Errorf("%d lines came, %d bytes held, error %v", len(m.lines), w.Stats().Pending, err)
		}
	})
}

func TestLargeBatchesAreCompressedForServersThatCanReadThem(t *testing.T) {
	for legacy, want := range map[bool]string{false: "gzip", true: ""} {
		synctest.Test(t, func(t *testing.T) {
			m := &memoryLog{legacy: legacy}
			c, _ := scripted(t, func(n int, r request) (*http.Response, error) { return m.put(r) })
			w := c.Writer(t.Context(), key)
			for range 1000 {
				io.WriteString(w, "some text\n")
			}
			if err := w.Close(); err != nil || len(m.lines) != 1000 {
				t.Errorf("%d lines, error %v", len(m.lines), err)
			}
			if got := m.puts[len(m.puts)-1].Header.Get("Content-Encoding"); got != want {
				t.Errorf("encoding %q, want %q", got, want)
			}
		})
	}
}

func TestLinesOfManyWritersStayWhole(t *testing.T) {
	writerTo(t, nil, nil, func(t *testing.T, w *Writer, m *memoryLog) {
		var all sync.WaitGroup
		for n := range 8 {
			all.Go(func() {
				for range 1000 {
					fmt.Fprintf(w, "writer %d\n", n)
				}
			})
		}
		all.Wait()
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		for _, text := range m.texts() {
			count[text]++
		}
		for text, n := range count {
			if n != 1000 {
				t.Errorf("%d times %q", n, text)
			}
		}
	})
}

func BenchmarkWriter(b *testing.B) {
	c, err := New("http://localhost", WithHTTPClient(&http.Client{Transport: transportFunc(func(r *http.Request) (*http.Response, error) {
		_, err := io.Copy(io.Discard, r.Body)
		resp, _ := answered(204, "")
		return resp, err
	})}))
	if err != nil {
		b.Fatal(err)
	}
	w := c.Writer(b.Context(), key)
	line := []byte(strings.Repeat("compile ", 15) + "\n")
	b.SetBytes(int64(len(line)))
	b.ReportAllocs()
	for b.Loop() {
		_, _ = w.Write(line)
	}
	_ = w.Close()
}
