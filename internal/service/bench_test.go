package service_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// BenchmarkClose archives a log of 200,000 lines of about 105 bytes: from the
// engine (durable) through the archive into the store.
func BenchmarkClose(b *testing.B) {
	const count = 200_000
	r := start(b, b.TempDir())
	b.SetBytes(int64(len(jsonLines(0, count))))
	for b.Loop() {
		b.StopTimer()
		r.must(r.Open(b.Context(), id, logs.OpenOptions{}))
		for i := range count / 1000 {
			_, err := r.Append(b.Context(), id, logs.Lines{Data: jsonLines(1000*i, 1000), Count: 1000})
			r.must(err)
		}
		b.StartTimer()
		r.must(r.Close(b.Context(), id, logs.ArchiveAlways))
	}
	b.ReportMetric(count*float64(b.N)/b.Elapsed().Seconds(), "lines/s")
}

// BenchmarkLife is the life of a small log: open, 5 appends of 20 lines,
// close with archive; 16 at once.
func BenchmarkLife(b *testing.B) {
	r := start(b, b.TempDir())
	data := jsonLines(0, 20)
	var g sync.WaitGroup
	next := make(chan int)
	for range 16 {
		g.Go(func() {
			for n := range next {
				id := logservice.ID{Account: "acme", Key: logservice.Key(fmt.Sprint("log/", n))}
				r.must(r.Open(b.Context(), id, logs.OpenOptions{}))
				for range 5 {
					_, err := r.Append(b.Context(), id, logs.Lines{Data: bytes.Clone(data), Count: 20})
					r.must(err)
				}
				r.must(r.Close(b.Context(), id, logs.ArchiveAlways))
			}
		})
	}
	n := 0
	for b.Loop() {
		next <- n
		n++
	}
	close(next)
	g.Wait()
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "logs/s")
}
