package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	logservice "github.com/harness/log-service"
)

func TestFailuresNeitherLoseNorDuplicateLines(t *testing.T) {
	fault := func(n int) (*http.Response, bool, error) {
		switch n % 4 {
		case 1: // the response is lost
			return nil, true, errCut
		case 2:
			return nil, false, io.EOF
		case 3:
			resp, _ := refused(502, "gone")
			return resp, n%8 == 3, nil
		}
		return nil, false, nil
	}
	writerTo(t, fault, nil, func(t *testing.T, w *Writer, m *memoryLog) {
		var want []string
		for n := range 20000 {
			want = append(want, fmt.Sprintf("line %d\n", n))
			io.WriteString(w, want[n])
			if n%1000 == 0 {
				time.Sleep(time.Second)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, m.texts()); diff != "" {
			t.Error(diff)
		}
		if s := w.Stats(); s.Retries == 0 || s.Lost != 0 || s.Sent != 20000 {
			t.Errorf("%+v", s)
		}
	})
}

func TestAWriterContinuesAfterExistingLines(t *testing.T) {
	writerTo(t, nil, nil, func(t *testing.T, w *Writer, m *memoryLog) {
		m.lines = make([]logservice.Line, 3)
		io.WriteString(w, "a\n")
		if err := w.Close(); err != nil || len(m.lines) != 4 || m.lines[3].Pos != 0 {
			t.Errorf("%v, error %v", m.lines, err)
		}
	})
}

func TestWritersOfASharedLogUseNoOffset(t *testing.T) {
	writerTo(t, nil, []WriterOption{Shared(), Level("warn")}, func(t *testing.T, w *Writer, m *memoryLog) {
		io.WriteString(w, "a\n")
		_ = w.Flush(t.Context())
		m.lines = append(m.lines, logservice.Line{Out: "another's"})
		io.WriteString(w, "b\n")
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]string{"a\n", "another's", "b\n"}, m.texts()); diff != "" || m.lines[2].Level != "warn" {
			t.Error(diff)
		}
	})
}

func TestAnotherWriterIsNoticed(t *testing.T) {
	writerTo(t, nil, nil, func(t *testing.T, w *Writer, m *memoryLog) {
		io.WriteString(w, "a\n")
		_ = w.Flush(t.Context())
		m.lines = append(m.lines, make([]logservice.Line, 5)...)
		io.WriteString(w, "b\n")
		if err := w.Close(); !errors.Is(err, logservice.ErrConflict) || w.Stats().Lost != 1 {
			t.Errorf("%+v, error %v", w.Stats(), err)
		}
	})
}

func TestLinesThatTheServerHasLostAreReported(t *testing.T) {
	writerTo(t, nil, nil, func(t *testing.T, w *Writer, m *memoryLog) {
		io.WriteString(w, "a\nb\nc\n")
		_ = w.Flush(t.Context())
		m.lines, m.at = m.lines[:1], m.at[:1]
		io.WriteString(w, "d\n")
		err := w.Close()
		if diff := cmp.Diff([]string{"a\n", "d\n"}, m.texts()); diff != "" || err == nil || w.Stats().Lost != 2 {
			t.Errorf("%+v, error %v\n%s", w.Stats(), err, diff)
		}
	})
}

func TestARefusalEndsTheWriterAndCountsWhatIsLost(t *testing.T) {
	fault := func(n int) (*http.Response, bool, error) {
		resp, err := refused(400, "stream: not found")
		return resp, false, err
	}
	writerTo(t, fault, nil, func(t *testing.T, w *Writer, m *memoryLog) {
		io.WriteString(w, "a\nb\n")
		if err := w.Flush(t.Context()); !errors.Is(err, logservice.ErrStreamNotFound) {
			t.Errorf("flush: %v", err)
		}
		if _, err := io.WriteString(w, "c\n"); !errors.Is(err, logservice.ErrStreamNotFound) {
			t.Errorf("write: %v", err)
		}
		if err := w.Close(); !errors.Is(err, logservice.ErrStreamNotFound) || w.Stats().Lost != 2 {
			t.Errorf("close: %+v, error %v", w.Stats(), err)
		}
	})
}

func TestCloseGivesUpOnAnUnreachableServer(t *testing.T) {
	fault := func(n int) (*http.Response, bool, error) { return nil, false, errCut }
	writerTo(t, fault, nil, func(t *testing.T, w *Writer, m *memoryLog) {
		io.WriteString(w, "a\n")
		start := time.Now()
		err := w.Close()
		if took := time.Since(start); !errors.Is(err, logservice.ErrUnavailable) || took != drainTime || w.Stats().Lost != 1 {
			t.Errorf("after %v: %+v, error %v", took, w.Stats(), err)
		}
	})
}

func TestAWriterGivesUpAfterItsPatience(t *testing.T) {
	fault := func(n int) (*http.Response, bool, error) { return nil, false, errCut }
	writerTo(t, fault, []WriterOption{WriterPatience(20 * time.Minute)}, func(t *testing.T, w *Writer, m *memoryLog) {
		io.WriteString(w, "a\n")
		time.Sleep(19 * time.Minute)
		if _, err := io.WriteString(w, "b\n"); err != nil {
			t.Errorf("after 19 minutes: %v", err)
		}
		time.Sleep(2 * time.Minute)
		if _, err := io.WriteString(w, "c\n"); !errors.Is(err, logservice.ErrUnavailable) || w.Stats().Lost != 2 {
			t.Errorf("after 21 minutes: %v", err)
		}
	})
}

func TestCancellingTheContextEndsAWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c, _ := scripted(t, func(int, request) (*http.Response, error) { return nil, errCut })
		w := c.Writer(ctx, key, Memory(1), Spill(0))
		io.WriteString(w, "a\n")
		go func() {
			time.Sleep(time.Second)
			cancel()
		}()
		if _, err := io.WriteString(w, "b\n"); !errors.Is(err, context.Canceled) {
			t.Errorf("a waiting write: %v", err)
		}
		if err := w.Close(); !errors.Is(err, context.Canceled) || w.Stats().Lost != 1 {
			t.Errorf("%+v, error %v", w.Stats(), err)
		}
	})
}
