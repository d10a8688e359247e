package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	logservice "github.com/harness/log-service"
)

// away answers requests with fault until back is called.
type away struct {
	gone  atomic.Bool
	fault func() (*http.Response, error)
}

func (a *away) fail(int) (*http.Response, bool, error) {
	if !a.gone.Load() {
		return nil, false, nil
	}
	resp, err := a.fault()
	return resp, false, err
}

func unreachable() (*http.Response, error) { return nil, errCut }

func TestLinesBeyondTheMemoryWaitInAFile(t *testing.T) {
	server := &away{fault: unreachable}
	dir := t.TempDir()
	opts := []WriterOption{Memory(1 << 20), Spill(64 << 20), SpillDir(dir), WriterPatience(0)}
	writerTo(t, server.fail, opts, func(t *testing.T, w *Writer, m *memoryLog) {
		var want []string
		print := func(lines int) {
			for range lines {
				want = append(want, fmt.Sprintf("line %d %s\n", len(want), strings.Repeat("x", 200)))
				io.WriteString(w, want[len(want)-1])
			}
		}
		print(10)
		_ = w.Flush(t.Context())
		for range 3 { // the file is used again
			server.gone.Store(true)
			print(20_000)
			synctest.Wait()
			if s := w.Stats(); s.Spilled < 4<<20 || s.Pending > 3<<20 {
				t.Errorf("%+v", s)
			}
			server.gone.Store(false)
			print(10)
			if err := w.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			if s := w.Stats(); s.Spilled != 0 || s.Pending != 0 {
				t.Errorf("%+v", s)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, m.texts()); diff != "" {
			t.Error(diff)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Errorf("%v, error %v", left, err)
		}
	})
}

func TestWhatNothingCanHoldIsCountedAndTheLogSaysSo(t *testing.T) {
	for name, c := range map[string]struct {
		spill WriterOption
		lines int64 // that are kept at least
	}{
		"no file":                       {Spill(0), 1 << 20 / 1200},
		"a full file":                   {Spill(4 << 20), 3 << 20 / 1200},
		"a file that cannot be written": {SpillDir("/dev/null/none"), 1 << 20 / 1200},
	} {
		t.Run(name, func(t *testing.T) {
			server := &away{fault: unreachable}
			writerTo(t, server.fail, []WriterOption{BestEffort(), Memory(1 << 20), c.spill}, func(t *testing.T, w *Writer, m *memoryLog) {
				server.gone.Store(true)
				line := strings.Repeat("x", 999) + "\n"
				for range 20_000 {
					if n, err := io.WriteString(w, line); n != len(line) || err != nil {
						t.Fatal(n, err)
					}
				}
				if s := w.Stats(); s.Pending > 3<<20 || s.Lost == 0 || s.LostBytes != 1000*s.Lost || s.Lines-s.Lost < c.lines {
					t.Errorf("%+v", s)
				}
				time.Sleep(time.Hour)
				server.gone.Store(false)
				lost := w.Stats().Lost
				if err := w.Flush(t.Context()); err != nil {
					t.Error(err)
				}
				io.WriteString(w, "after\n")
				err := w.Close()
				e, ok := errors.AsType[*LostError](err)
				if !ok || e.Lines != lost || e.Bytes != 1000*lost {
					t.Errorf("error %v, lost %d", err, lost)
				}
				got := m.texts()
				note := fmt.Sprintf("[%d lines (%d bytes) were not delivered: the writer's memory was full]\n", lost, 1000*lost)
				if len(got) != 20_000-int(lost)+2 || got[len(got)-2] != note || got[len(got)-1] != "after\n" {
					t.Errorf("%d lines, at the end %q", len(got), got[max(0, len(got)-2):])
				}
				if s := w.Stats(); s.Lines != s.Sent+s.Lost {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestALossAtTheEndIsInTheLog(t *testing.T) {
	server := &away{fault: unreachable}
	writerTo(t, server.fail, []WriterOption{BestEffort(), Memory(1), Spill(0)}, func(t *testing.T, w *Writer, m *memoryLog) {
		server.gone.Store(true)
		io.WriteString(w, "a\n")
		synctest.Wait()
		time.Sleep(time.Second)
		io.WriteString(w, "b\nc\n")
		server.gone.Store(false)
		err := w.Close()
		want := []string{"a\n", "[2 lines (4 bytes) were not delivered: the writer's memory was full]\n"}
		if diff := cmp.Diff(want, m.texts()); diff != "" || err == nil {
			t.Errorf("error %v\n%s", err, diff)
		}
	})
}

func TestABestEffortWriterNeverFails(t *testing.T) {
	for name, c := range map[string]struct {
		fault func() (*http.Response, error)
		want  error
	}{
		"closed":               {func() (*http.Response, error) { return refused(400, "stream: not found") }, logservice.ErrStreamNotFound},
		"token expired":        {func() (*http.Response, error) { return refused(403, "the token has expired") }, logservice.ErrForbidden},
		"disk full":            {func() (*http.Response, error) { return refused(503, "no space left") }, logservice.ErrUnavailable},
		"disk full, by WebDAV": {func() (*http.Response, error) { return refused(507, "no space left") }, logservice.ErrUnavailable},
		"unreachable":          {unreachable, logservice.ErrUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			server := &away{fault: c.fault}
			writerTo(t, server.fail, []WriterOption{BestEffort()}, func(t *testing.T, w *Writer, m *memoryLog) {
				io.WriteString(w, "a\n")
				_ = w.Flush(t.Context())
				server.gone.Store(true)
				for range 100 {
					if n, err := io.WriteString(w, "b\n"); n != 2 || err != nil {
						t.Fatal(n, err)
					}
					time.Sleep(time.Minute)
				}
				io.WriteString(w, "c")
				err := w.Close()
				e, ok := errors.AsType[*LostError](err)
				if !ok || !errors.Is(err, c.want) || e.Lines != 101 || e.Bytes != 201 {
					t.Errorf("error %v", err)
				}
				if s := w.Stats(); s.Sent != 1 || s.Lost != 101 || s.Lines != 102 || !s.Reached {
					t.Errorf("%+v", s)
				}
			})
		})
	}
}

func TestAClosedStreamDoesNotEndACommand(t *testing.T) {
	c, _ := scripted(t, func(int, request) (*http.Response, error) { return refused(400, "stream: not found") })
	w := c.Writer(t.Context(), key, BestEffort())
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `i=0; while [ $i -lt 20000 ]; do echo "line $i of the build"; i=$((i+1)); done; exit 7`)
	cmd.Stdout, cmd.Stderr = w, w.Stream()
	err := cmd.Run()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != 7 {
		t.Errorf("the command ended with %v", err)
	}
	err = w.Close() // a line that the command wrote slowly counts as several
	if s := w.Stats(); !errors.Is(err, logservice.ErrStreamNotFound) || s.Lost < 20_000 || s.LostBytes != 468_890 {
		t.Errorf("%+v, error %v", s, err)
	}
}

func TestCloseEndsWithItsContext(t *testing.T) {
	server := &away{fault: unreachable}
	server.gone.Store(true)
	writerTo(t, server.fail, []WriterOption{BestEffort()}, func(t *testing.T, w *Writer, m *memoryLog) {
		io.WriteString(w, "a\n")
		for _, limit := range []time.Duration{time.Hour, 0} { // longer than without one, and not again
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			start := time.Now()
			err := w.CloseContext(ctx)
			if took := time.Since(start); took != limit || !errors.Is(err, context.DeadlineExceeded) || w.Stats().Lost != 1 {
				t.Errorf("after %v: %+v, error %v", took, w.Stats(), err)
			}
		}
	})
}

func TestAWriterOpensItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memoryLog{}
		opened := false
		start := time.Now()
		c, s := scripted(t, func(n int, r request) (*http.Response, error) {
			switch {
			case time.Since(start) < 20*time.Minute:
				return nil, errCut
			case r.Method == http.MethodPost:
				opened = true
				return answered(204, "")
			case !opened:
				return refused(400, "stream: not found")
			}
			return m.put(r)
		})
		w := c.Writer(t.Context(), key, AutoOpen(TTL(time.Minute)), BestEffort())
		for range 60 {
			io.WriteString(w, "a\n")
			time.Sleep(time.Minute)
		}
		if err := w.Close(); err != nil || len(m.lines) != 60 {
			t.Errorf("%d lines, error %v", len(m.lines), err)
		}
		if first := s.requests()[0]; !strings.Contains(first.Query, "timeout_seconds=60") {
			t.Errorf("%+v", first)
		}
	})
}

func TestPiecesOfALineAreMarked(t *testing.T) {
	writerTo(t, nil, nil, func(t *testing.T, w *Writer, m *memoryLog) {
		for _, s := range []string{"Password: ", "***", "\n", strings.Repeat("x", 3*maxPieceBytes) + "\n", "whole\n", "the end"} {
			io.WriteString(w, s)
			time.Sleep(time.Second)
		}
		_ = w.WriteLine(logservice.Line{Out: strings.Repeat("y", maxPieceBytes+1)})
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for i, text := range m.texts() {
			got = append(got, fmt.Sprintf("%.10q %v", text, m.lines[i].Partial))
		}
		want := []string{`"Password: " true`, `"***" true`, `"\n" false`,
			`"xxxxxxxxxx" true`, `"xxxxxxxxxx" true`, `"xxxxxxxxxx" true`, `"\n" false`, `"whole\n" false`,
			`"the end" true`, `"" false`, `"yyyyyyyyyy" true`, `"y" false`}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestAnExpiredTokenIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memoryLog{}
		var asked, refusals int
		source := func(context.Context) (string, error) {
			asked++
			if asked%7 == 0 {
				return "", errors.New("the issuer is away")
			}
			return fmt.Sprint("token ", time.Now().Unix()/600), nil // of ten minutes
		}
		var expired atomic.Bool // once, between the call of the source and the check
		c, _ := scripted(t, func(n int, r request) (*http.Response, error) {
			if expired.Swap(false) {
				refusals++
				return refused(403, "the token has expired: get a new one")
			}
			if want := fmt.Sprint("token ", time.Now().Unix()/600); r.Header.Get(HeaderToken) != want {
				return refused(403, "a wrong token")
			}
			return m.put(r)
		}, WithTokenSource(source))
		w := c.Writer(t.Context(), key)
		for n := range 60 {
			expired.Store(n%5 == 0)
			io.WriteString(w, "a\n")
			time.Sleep(time.Minute)
		}
		if err := w.Close(); err != nil || len(m.lines) != 60 || refusals != 12 {
			t.Errorf("%d lines, %d refusals, error %v", len(m.lines), refusals, err)
		}
	})
}

func TestATokenThatStaysRefusedIsTriedTwice(t *testing.T) {
	for _, source := range []Option{WithTokenSource(func(context.Context) (string, error) { return "x", nil }), WithToken("x")} {
		c, s := scripted(t, func(int, request) (*http.Response, error) { return refused(403, "no") }, source)
		want := 1
		if c.renewable {
			want = 2
		}
		if err := c.Delete(t.Context(), key); !errors.Is(err, logservice.ErrForbidden) || len(s.requests()) != want {
			t.Errorf("%d requests, error %v", len(s.requests()), err)
		}
	}
	if _, err := New("", WithTokenSource(nil)); !errors.Is(err, logservice.ErrInvalid) {
		t.Errorf("error %v", err)
	}
}

// What comes from elsewhere is not taken for the rest of an unfinished line.
func TestAnUnfinishedLineIsEndedBeforeAnother(t *testing.T) {
	writerTo(t, nil, nil, func(t *testing.T, w *Writer, m *memoryLog) {
		other := w.Stream()
		for i, s := range []string{"out: ", "err: ", "rest\n", "rest\n", "left"} {
			io.WriteString([]io.Writer{w, other, w, other, w}[i], s)
			time.Sleep(time.Second)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		want := []string{"out: ", "", "err: ", "", "rest\n", "rest\n", "left", ""}
		if diff := cmp.Diff(want, m.texts()); diff != "" {
			t.Error(diff)
		}
	})
}

func TestTheEndOfAContextNamesWhatFailedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, last := range []int{2, 3} {
			ctx, cancel := context.WithCancel(t.Context())
			c, _ := scripted(t, func(n int, _ request) (*http.Response, error) {
				if n == last {
					cancel()
				}
				return nil, errCut
			})
			_, err := c.Append(ctx, key, nil)
			if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "(before that: ") || !strings.Contains(err.Error(), errCut.Error()) {
				t.Errorf("error %v", err)
			}
			cancel()
		}
	})
}
