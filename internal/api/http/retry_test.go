package httpapi_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	httpapi "github.com/harness/log-service/internal/api/http"
	"github.com/harness/log-service/internal/stream"
)

// aClient is one of the clients that the rule in package lines was checked
// against, with a batch as it sends it.
type aClient struct {
	name  string
	route string // empty: PUT /stream
	batch string
	// next is the batch in which it sends the same text again, at the earliest.
	// Empty: the same bytes, which therefore cannot be distinguished from a retry.
	next string
}

var clients = []aClient{
	{name: "Go runner (lite-engine, Kubernetes add-on), its first line",
		batch: `[{"level":"info","pos":0,"out":"tick\n","time":"2026-01-02T15:04:05.123456789Z","args":null}]`,
		next:  `[{"level":"info","pos":1,"out":"tick\n","time":"2026-01-02T15:04:05.123456889Z","args":null}]`},
	{name: "Go runner, several lines, local time",
		batch: `[{"level":"info","pos":7,"out":"tick\n","time":"2026-01-02T20:34:05.1+05:30","args":null},{"level":"info","pos":8,"out":"tick\n","time":"2026-01-02T20:34:05.1000002+05:30","args":null}]`,
		next:  `[{"level":"info","pos":9,"out":"tick\n","time":"2026-01-02T20:34:06+05:30","args":null},{"level":"info","pos":10,"out":"tick\n","time":"2026-01-02T20:34:06.0000001+05:30","args":null}]`},
	{name: "two Go runners with one log",
		batch: `[{"level":"info","pos":0,"out":"tick\n","time":"2026-01-02T15:04:05.123456789Z","args":null}]`,
		next:  `[{"level":"info","pos":0,"out":"tick\n","time":"2026-01-02T15:04:05.123456790Z","args":null}]`},
	{name: "Go runner on a clock of 15.6 ms",
		batch: `[{"level":"info","pos":3,"out":"tick\n","time":"2026-01-02T15:04:05.0156Z","args":null}]`,
		next:  `[{"level":"info","pos":4,"out":"tick\n","time":"2026-01-02T15:04:05.0156Z","args":null}]`},
	{name: "Java delegate, milliseconds",
		batch: `[{"level":"INFO","pos":0,"out":"tick","time":1767366245123,"args":{}}]`,
		next:  `[{"level":"INFO","pos":0,"out":"tick","time":1767366245124,"args":{}}]`},
	{name: "Java delegate, ISO",
		batch: `[{"level":"INFO","pos":0,"time":"2026-01-02T15:04:05.120Z","out":"tick"},{"level":"INFO","pos":0,"time":"2026-01-02T15:04:06Z","out":"tick"}]`,
		next:  `[{"level":"INFO","pos":0,"time":"2026-01-02T15:04:06Z","out":"tick"},{"level":"INFO","pos":0,"time":"2026-01-02T15:04:06.001Z","out":"tick"}]`},
	{name: "Java, seconds with a fraction",
		batch: `[{"level":"INFO","pos":0,"out":"tick","time":1767366245.123000000}]`,
		next:  `[{"level":"INFO","pos":0,"out":"tick","time":1767366245.124000000}]`},
	{name: "Java, an array",
		batch: `[{"level":"INFO","pos":0,"out":"tick","time":[2026,1,2,15,4,5,123000000]}]`,
		next:  `[{"level":"INFO","pos":0,"out":"tick","time":[2026,1,2,15,4,5,124000000]}]`},
	{name: "with spaces",
		batch: `[ { "pos" : 0, "out" : "tick", "time" : "2026-01-02T15:04:05.123Z" } ]`,
		next:  `[ { "pos" : 0, "out" : "tick", "time" : "2026-01-02T15:04:05.124Z" } ]`},
	{name: "Fluent Bit with a position added, seconds with a fraction",
		batch: `[{"time":1767366245.123456,"pos":0,"out":"tick"}]`,
		next:  `[{"time":1767366245.123457,"pos":0,"out":"tick"}]`},
	{name: "Drone runner, its first line", route: "/rpc/v2/step/1/logs/batch",
		batch: `[{"pos":0,"out":"tick\n","time":0}]`,
		next:  `[{"pos":1,"out":"tick\n","time":0}]`},
	{name: "Drone runner, several lines", route: "/rpc/v2/step/1/logs/batch",
		batch: `[{"pos":5,"out":"tick\n","time":3},{"pos":6,"out":"tick\n","time":3}]`,
		next:  `[{"pos":7,"out":"tick\n","time":3},{"pos":8,"out":"tick\n","time":3}]`},

	{name: "original command line", batch: `[{"level":"info","pos":0,"out":"hello","time":"0001-01-01T00:00:00Z","args":null}]`},
	{name: "time null", batch: `[{"pos":0,"out":"tick\n","time":null}]`},
	{name: "time empty", batch: `[{"pos":0,"out":"tick\n","time":""}]`},
	{name: "time 0", batch: `[{"pos":0,"out":"tick\n","time":0}]`},
	{name: "chaos pod", batch: `[{"level":"info","pos":1,"out":"[Probe]: run","time":"2025-05-01T17:27:56Z","args":{"PodName":"pod-delete-wm3","PodNamespace":"v2"}}]`},
	{name: "syslog-ng", batch: `[{"time":"2026-01-02T15:04:05+00:00","pos":0,"out":"tick","level":"notice"}]`},
	{name: "syslog-ng, several lines", batch: `[{"time":"2026-01-02T15:04:05+00:00","pos":0,"out":"tick"},{"time":"2026-01-02T15:04:05+00:00","pos":0,"out":"tick"}]`},
	{name: "Fluent Bit, whole seconds", batch: `[{"time":1767366245,"pos":0,"out":"tick"}]`},
	{name: "Fluent Bit, Vector: no position", batch: `[{"timestamp":"2026-01-02T15:04:05.123456789Z","out":"tick"},{"time":1767366245.123456,"out":"tick"}]`},
	{name: "a script that counts in each batch, whole seconds", batch: `[{"pos":0,"out":"tick","time":"2026-01-02T15:04:05Z"},{"pos":1,"out":"tock","time":"2026-01-02T15:04:05Z"}]`},
	{name: "Drone's route without positions", route: "/rpc/v2/step/1/logs/batch", batch: `[{"out":"tick\n","time":3}]`},
	{name: "Drone's route without counting", route: "/rpc/v2/step/1/logs/batch", batch: `[{"pos":0,"out":"tick\n","time":3},{"pos":0,"out":"tick\n","time":3}]`},
}

// A client sends the identical batch again if it saw no answer, and also if it
// has the same text to send again. The first is stored once, but the second as
// often as it comes. If they cannot be distinguished, nothing is dropped.
func TestClientsAndTheirRetries(t *testing.T) {
	for engine, config := range map[string]stream.Config{"disk": {Dir: t.TempDir()}, "memory": {}} {
		s := startServerOver(t, config, httpapi.Config{})
		for _, c := range clients {
			t.Run(engine+"/"+c.name, func(t *testing.T) {
				s := *s
				s.t = t
				send := func(body string) { s.must(204, "PUT", streamURL, body) }
				log := streamURL
				if c.route == "" {
					s.must(204, "POST", streamURL+"&truncate=true", "")
				} else {
					log = "/stream?accountID=default&key=drone/step/1"
					send = func(body string) { s.must(200, "POST", c.route, body) }
				}
				defer s.must(204, "DELETE", log+"&snapshot=false", "")
				want := 0
				if c.next == "" {
					for range 5 {
						send(c.batch)
						want += strings.Count(c.batch, `"out"`)
					}
				} else {
					for _, body := range []string{c.batch, c.batch, c.next, c.batch, c.next} {
						send(body)
					}
					want = strings.Count(c.batch+c.next, `"out"`)
				}
				if info := s.must(200, "GET", strings.Replace(log, "/stream?", "/stream/info?", 1), "").body; !strings.Contains(info, fmt.Sprintf(`"size":%d,`, want)) {
					t.Errorf("%s\nwant %d lines", info, want)
				}
			})
		}
	}
}

// Equal texts are stored: a text carries neither position nor time.
func TestEqualTextsAreAllStored(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	s.must(204, "POST", streamURL, "")
	for range 3 {
		s.must(204, "PUT", streamURL, "hello", "Content-Type", "text/plain")
	}
	if info := s.must(200, "GET", "/stream/info?accountID=A", "").body; !strings.Contains(info, `"size":3,`) {
		t.Error(info)
	}
}

// habits are how a client writes its marks.
type habits struct {
	counts     bool
	resolution time.Duration // of its clock
	number     bool          // milliseconds instead of text
	space      string
}

// line formats a line as a client of these habits does, and reports whether its
// time says more than a second.
func (h habits) line(text string, pos int, at time.Time) (line string, identifies bool) {
	if !h.counts {
		pos = 1
	}
	at = at.Truncate(h.resolution)
	written := `"` + at.Format(time.RFC3339Nano) + `"`
	if h.number {
		at = at.Truncate(time.Millisecond)
		written = fmt.Sprint(at.UnixMilli())
	}
	return fmt.Sprintf(`{"pos"%s:%d,"out":%q,"time":%s%s}`, h.space, pos, text, h.space, written), !at.Equal(at.Truncate(time.Second))
}

// Several clients of any habits share a log, and each sends some batches more
// than once. No distinct batch may be dropped, and no repeated one that
// identifies itself may be stored twice.
func TestDistinctBatchesAreStoredAndIdentifiedOnesOnce(t *testing.T) {
	s := startServerOver(t, stream.Config{}, httpapi.Config{})
	check := 0
	rapid.Check(t, func(t *rapid.T) {
		check++
		url := fmt.Sprintf("/stream?accountID=A&key=k%d", check)
		s.must(204, "POST", url, "")
		clients := make([]habits, rapid.IntRange(1, 3).Draw(t, "clients"))
		for i := range clients {
			clients[i] = habits{
				counts:     rapid.Bool().Draw(t, "counts"),
				resolution: rapid.SampledFrom([]time.Duration{1, time.Microsecond, time.Millisecond, time.Second}).Draw(t, "resolution"),
				number:     rapid.Bool().Draw(t, "number"),
				space:      rapid.SampledFrom([]string{"", " ", "\t"}).Draw(t, "space"),
			}
		}
		now := time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)
		pos := make([]int, len(clients))
		var want strings.Builder
		for range rapid.IntRange(1, 8).Draw(t, "batches") {
			i := rapid.IntRange(0, len(clients)-1).Draw(t, "client")
			h := clients[i]
			var lines []string
			identified := false
			for range rapid.IntRange(1, 3).Draw(t, "lines") {
				// A clock that tells two instants apart, where it does at all:
				// two batches in one millisecond are the documented exception.
				now = now.Add(max(h.resolution%time.Second, time.Millisecond) * time.Duration(rapid.IntRange(1, 3).Draw(t, "later")))
				line, fine := h.line(rapid.SampledFrom([]string{"tick", "tock"}).Draw(t, "text"), pos[i], now)
				pos[i]++
				lines, identified = append(lines, line), identified || fine
			}
			body := "[" + strings.Join(lines, ",") + "]"
			for n := range rapid.IntRange(1, 3).Draw(t, "times") {
				s.must(204, "PUT", url, body)
				if n == 0 || !identified {
					want.WriteString(strings.Join(lines, "\n") + "\n")
				}
			}
		}
		s.must(204, "DELETE", url, "")
		if got := s.must(200, "GET", strings.Replace(url, "/stream", "/blob", 1), "").body; got != want.String() {
			t.Fatalf("stored\n%swant\n%s", got, want.String())
		}
	})
}
