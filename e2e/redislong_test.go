package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/harness/log-service/internal/stream/redis/redistest"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// maxRedisMemory is what Redis may need for one log of any length, written and
// followed through two servers: sixteen times the memory of a stream, which it may
// hold while the bucket is slow, the same for data in transit to and from the
// servers, and an empty Redis.
const maxRedisMemory = 2*16*streamMemory + 4<<20

// TestALogOfAnyLengthIsCompleteWhileRedisStaysSmall writes ten million lines through
// one server. One reader follows on the other server throughout, one starts halfway,
// and finally the archive is read.
func TestALogOfAnyLengthIsCompleteWhileRedisStaysSmall(t *testing.T) {
	t.Parallel()
	if unraced(t) {
		return
	}
	lines := streamtest.Scale(50_000, 200_000, 10_000_000)
	limit := hangLimit + time.Duration(lines/1000)*200*time.Millisecond
	ctx, cancel := context.WithTimeoutCause(t.Context(), limit, fmt.Errorf("not done within %v", limit))
	defer cancel()
	redis := redistest.Start(t)
	f := newFleet(t, plainProgram(t), "LOG_SERVICE_REDIS_ENDPOINT="+redis.Addr)
	writer, reader := newWire(f.servers[0].url), newWire(f.servers[1].url)
	const key = "long/log"
	if err := writer.open(ctx, key); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	work, ctx := errgroup.WithContext(ctx)
	var readers [2]*hashing
	follow := func(i int) {
		readers[i] = newHashing()
		r := tailer{wire: reader, key: key, line: readers[i].line}
		work.Go(func() error { return r.run(ctx) })
	}
	follow(0)
	var sent *hashing
	work.Go(func() (err error) {
		sent, err = writeLong(ctx, writer, key, lines, func() { follow(1) })
		if err == nil {
			err = writer.close(ctx, key, "snapshot=true")
		}
		return err
	})
	if err := work.Wait(); err != nil {
		t.Fatal(err)
	}
	written := time.Since(began)
	archived, size, err := readArchive(t.Context(), reader, key)
	if err != nil {
		t.Fatal(err)
	}
	peak, _ := strconv.ParseInt(redis.Info("used_memory_peak"), 10, 64)
	t.Logf("%d lines, %d MB: written and read twice in %v, all done in %v; Redis needed %.1f MB at most", lines, size>>20,
		written.Round(100*time.Millisecond), time.Since(began).Round(100*time.Millisecond), float64(peak)/(1<<20))
	if peak == 0 || peak > maxRedisMemory {
		t.Errorf("Redis needed %d bytes, at most %d are to do for a log of %d bytes", peak, maxRedisMemory, size)
	}
	if size < maxRedisMemory {
		t.Errorf("the log has %d bytes: too few to show that Redis does not hold them", size)
	}
	for name, h := range map[string]*hashing{"the reader of all the while": readers[0], "the late reader": readers[1], "the archive": archived} {
		if h.lines != lines || h.String() != sent.String() {
			t.Errorf("%s has %d lines of SHA-256 %v, sent were %d of %v", name, h.lines, h, sent.lines, sent)
		}
	}
}

// writeLong pushes lines in batches of a thousand, each with its offset, and
// calls half when half of them are written.
func writeLong(ctx context.Context, w *wire, key string, n int, half func()) (*hashing, error) {
	writer, sent := streamtest.Writer{Name: "writer", Pad: 60}, newHashing()
	for sent.lines < n {
		if sent.lines >= n/2 && half != nil {
			half()
			half = nil
		}
		lines := writer.Lines(min(1000, n-sent.lines))
		next, err := w.push(ctx, key, fmt.Sprint("offset=", sent.lines+1), lines)
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			_ = sent.line(0, []byte(l)) // never fails
		}
		if next != int64(sent.lines+1) {
			return nil, fmt.Errorf("next sequence is %d after %d lines", next, sent.lines)
		}
	}
	return sent, nil
}

// readArchive reads a finished log of any size as it comes.
func readArchive(ctx context.Context, w *wire, key string) (got *hashing, size int64, err error) {
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/blob?accountID="+w.account+"&key="+key, nil)
		if err != nil {
			return nil, 0, err
		}
		resp, err := (&http.Client{Transport: w.http.Transport}).Do(req)
		if err != nil {
			return nil, 0, err
		}
		got = newHashing()
		in := bufio.NewScanner(resp.Body)
		for resp.StatusCode == http.StatusOK && in.Scan() {
			size += int64(len(in.Bytes()) + 1)
			_ = got.line(0, in.Bytes()) // never fails
		}
		_ = resp.Body.Close()
		switch {
		case resp.StatusCode == http.StatusOK:
			return got, size, in.Err()
		case resp.StatusCode != http.StatusNotFound && resp.StatusCode != http.StatusServiceUnavailable:
			return nil, 0, fmt.Errorf("the archive: status %d", resp.StatusCode)
		}
		select {
		case <-ctx.Done():
			return nil, 0, context.Cause(ctx)
		case <-time.After(retryPause): // archiving is in progress
		}
	}
}
