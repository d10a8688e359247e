package endpoint

import (
	"strings"
	"testing"

	"github.com/harness/log-service/internal/logs"
)

func TestFramesOfABatch(t *testing.T) {
	for want, b := range map[string]*logs.Batch{
		"id: 9\ndata: {\"a\":1}\n\nid: 10\ndata: {}\n\n":   {First: 9, Count: 2, Data: []byte("{\"a\":1}\n{}\n")},
		"id: 14\ndata: {\"gap\":{}}\n\n":                   {First: 5, Count: 10, Data: []byte("{\"gap\":{}}\n"), Gap: true},
		strings.Repeat("id: 7\ndata: {}\n\n", 1):           {First: 7, Count: 1, Data: []byte("{}\n")},
		"id: 9223372036854775807\ndata: {\"b\":\"é\"}\n\n": {First: 1<<63 - 1, Count: 1, Data: []byte("{\"b\":\"é\"}\n")},
	} {
		got := firstFrames(b)
		if string(got) != want {
			t.Errorf("got %q, want %q", got, want)
		}
		if n := testing.AllocsPerRun(10, func() { firstFrames(b) }); n > 2 {
			t.Errorf("%v allocations", n)
		}
	}
}
