package e2e_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/harness/log-service/internal/stream/streamtest"
)

// TestASlowTailOfAnArchivedLogHoldsNoSegments lets one tail read a log of 20 MB
// at 2 KB/s, archives the log meanwhile, and appends 3 GB to other logs. The
// write-ahead log does not grow with these, and the tail misses nothing. In
// small, TestReadersOfDeletedLogsDoNotHoldSharedFiles (the engine) and
// TestASlowReaderOfAnArchivedLogGoesOnInTheArchive (the service) show the same.
func TestASlowTailOfAnArchivedLogHoldsNoSegments(t *testing.T) {
	if os.Getenv(streamtest.LongEnv) == "" {
		t.Skip("one of the long tests")
	}
	const (
		size    = 20 << 20
		traffic = 3 << 30
		rest    = 16 << 20 // of a log of the traffic
		pace    = 2 << 10  // bytes of the tail per second
		// files is what the log may have: four for what is dead before it is
		// compacted, as many spares, and some for what lives and is being written.
		files = 16
	)
	s := startServer(t, plainProgram(t))
	w := newWire(s.url)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(w.open(t.Context(), "slow"))
	writer := streamtest.Writer{Name: "writer", Pad: 900}
	var lines []string
	for sent := 0; sent < size; {
		batch := writer.Lines(500)
		_, err := w.push(t.Context(), "slow", "", batch)
		must(err)
		lines = append(lines, batch...)
		sent += len(batch) * len(batch[0])
	}
	tail := stall(t, s.addr, "/stream?accountID=acc&key=slow", 1<<20) // a small buffer takes minutes to read the rest
	must(tail.SetDeadline(time.Time{}))
	must(w.close(t.Context(), "slow", ""))
	_, err := w.archive(t.Context(), "slow")
	must(err)

	var had bytes.Buffer // by the tail, at its pace
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(time.Second / 4)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if _, err := io.CopyN(&had, tail, pace/4); err != nil {
					stopped <- err
					return
				}
			case <-stop:
				stopped <- nil
				return
			}
		}
	}()
	line := fmt.Sprintf(`{"out":"%s\n"}`, strings.Repeat("traffic ", 4000))
	body := strings.Split(strings.Repeat(line+"\n", 4<<20/len(line)), "\n")
	body = body[:len(body)-1]
	var mostFiles int
	var mostBytes int64
	begun := time.Now()
	for sent := 0; sent < traffic; sent += rest {
		must(w.open(t.Context(), "traffic"))
		for range rest / (4 << 20) {
			_, err := w.push(t.Context(), "traffic", "", body)
			must(err)
		}
		must(w.close(t.Context(), "traffic", "snapshot=false"))
		n, size := s.streamFiles()
		mostFiles, mostBytes = max(mostFiles, n), max(mostBytes, size)
	}
	close(stop)
	must(<-stopped)
	t.Logf("%d MB of other logs in %v, while a tail read %d KB of %d MB: at most %d files with %d MB",
		traffic>>20, time.Since(begun).Round(time.Second), had.Len()>>10, size>>20, mostFiles, mostBytes>>20)
	if mostFiles > files {
		t.Errorf("the write-ahead log had %d files, want at most %d", mostFiles, files)
	}
	must(tail.SetDeadline(time.Now().Add(startLimit)))
	resp, err := http.ReadResponse(bufio.NewReader(io.MultiReader(strings.NewReader(answered), &had, tail)), nil)
	must(err)
	sees(t, bufio.NewReader(resp.Body), 0, lines, len(lines))
	s.stop()
}

// streamFiles are the files of the write-ahead log, spares included, and their
// bytes.
func (s *process) streamFiles() (n int, size int64) {
	s.t.Helper()
	entries, err := os.ReadDir(s.folder + "/data/streams")
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil { // or it was just removed
			n++
			size += info.Size()
		}
	}
	return n, size
}
