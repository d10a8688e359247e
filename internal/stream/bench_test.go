package stream

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// BenchmarkAppend measures an append of 100 lines with and without the
// write-ahead log; the ratio is the cost of durability.
func BenchmarkAppend(b *testing.B) {
	line := `{"level":"info","pos":12,"out":"` + strings.Repeat("x", 100) + `\n","time":"2026-01-02T15:04:05Z","args":null}` + "\n"
	body := []byte(strings.Repeat(line, 100))
	for _, mode := range []string{"memory", "disk"} {
		for _, writers := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/writers=%d", mode, writers), func(b *testing.B) {
				c := Config{}
				if mode == "disk" {
					c.Dir = b.TempDir()
				}
				e, err := Open(c)
				if err != nil {
					b.Fatal(err)
				}
				defer e.Stop()
				ctx := context.Background()
				var wg sync.WaitGroup
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				b.ResetTimer()
				for w := range writers {
					wg.Go(func() {
						id := logservice.ID{Account: "a", Key: logservice.Key(fmt.Sprint("k", w))}
						if err := e.Open(ctx, id, logs.OpenOptions{}); err != nil {
							b.Error(err)
						}
						for range b.N / writers {
							if _, err := e.Append(ctx, id, logs.Lines{Data: body, Count: 100}); err != nil {
								b.Error(err)
								return
							}
						}
						e.Close(ctx, id, logs.Closing{})
						e.Delete(ctx, id)
					})
				}
				wg.Wait()
				b.ReportMetric(float64(b.N)*100/b.Elapsed().Seconds(), "lines/s")
			})
		}
	}
}
