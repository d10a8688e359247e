package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harness/log-service/internal/proctest"
)

// step is a request of a client and the statuses that it accepts.
type step struct {
	method, target, body string
	want                 []int
	link                 bool // to the upload link
}

// runner is what a client of the original Harness log service sends for one run
// of a step, and which of its lines the log has then.
type runner struct {
	name  string
	steps func(key, run string) []step
	lines func(run string) []string
}

// line and batch spell lines as Go runners do: nanoseconds identify a retry.
func runnerLine(run string, n int) string {
	return fmt.Sprintf(`{"level":"info","pos":%d,"out":"%s line %d\n","time":"2026-01-02T15:04:05.%09dZ","args":null}`, n, run, n, n+1)
}

func runnerLines(run string, from, to int) (lines []string) {
	for n := from; n < to; n++ {
		lines = append(lines, runnerLine(run, n))
	}
	return lines
}

func batchOf(lines []string) string { return "[" + strings.Join(lines, ",") + "]\n" }
func ndjson(lines []string) string  { return strings.Join(lines, "\n") + "\n" }

func texts(run string, numbers ...int) (texts []string) {
	for _, n := range numbers {
		texts = append(texts, fmt.Sprintf("%s line %d", run, n))
	}
	return texts
}

func through(n int) (numbers []int) {
	for i := range n {
		numbers = append(numbers, i)
	}
	return numbers
}

var runners = []runner{
	// The classic lite-engine opens, streams, uploads all, and closes. Its
	// upload's retry has a body that was read before.
	{"lite-engine, classic", func(key, run string) []step {
		q := "accountID=acc&key=" + key
		return []step{
			{"POST", "/stream?" + q, "", []int{204}, false},
			{"PUT", "/stream?" + q, batchOf(runnerLines(run, 0, 3)), []int{204}, false},
			{"PUT", "/stream?" + q, batchOf(runnerLines(run, 3, 5)), []int{204}, false},
			{"POST", "/blob?" + q, ndjson(runnerLines(run, 0, 6)), []int{204}, false},
			{"POST", "/blob?" + q, "", []int{409}, false},
			{"DELETE", "/stream?" + q, "", []int{204, 404}, false},
		}
	}, func(run string) []string { return texts(run, through(6)...) }},
	// The optimised one uploads the last 5 MB only, to a link.
	{"lite-engine, optimised", func(key, run string) []step {
		q := "accountID=acc&key=" + key
		return []step{
			{"POST", "/stream?" + q, "", []int{204}, false},
			{"PUT", "/stream?" + q, batchOf(runnerLines(run, 0, 5)), []int{204}, false},
			{"PUT", "", ndjson(runnerLines(run, 3, 8)), []int{200}, true},
			{"PUT", "", "", []int{409}, true},
			{"DELETE", "/stream?" + q, "", []int{204, 404}, false},
		}
	}, func(run string) []string { return texts(run, through(8)...) }},
	// runner-go has a limit: it streams the start and uploads the end.
	{"runner-go", func(key, run string) []step {
		q := "accountID=acc&key=" + key
		return []step{
			{"POST", "/stream?" + q, "", []int{204}, false},
			{"PUT", "/stream?" + q, batchOf(runnerLines(run, 0, 4)), []int{204}, false},
			{"PUT", "", ndjson(runnerLines(run, 6, 8)), []int{200}, true},
			{"DELETE", "/stream?" + q + "&snapshot=true", "", []int{204, 404}, false},
		}
	}, func(run string) []string {
		return slices.Concat(texts(run, through(4)...), []string{"[2 lines lost]"}, texts(run, 6, 7))
	}},
	// The Kubernetes add-on could not stream at all, and uploads.
	{"Kubernetes add-on", func(key, run string) []step {
		q := "accountID=acc&key=" + key
		return []step{
			{"POST", "/stream?" + q, "", []int{204}, false},
			{"PUT", "", ndjson(runnerLines(run, 0, 7)), []int{200}, true},
			{"DELETE", "/stream?" + q, "", []int{204, 404}, false},
		}
	}, func(run string) []string { return texts(run, through(7)...) }},
	// The original command line sends position 0 and the zero time: equal lines
	// are distinct, and nothing of it is sent twice here.
	{"the original command line", func(key, run string) []step {
		q := "accountID=acc&key=" + key
		hello := `[{"level":"info","pos":0,"out":"` + run + ` line 0\n","time":"0001-01-01T00:00:00Z","args":null}]`
		return []step{
			{"POST", "/stream?" + q, "", []int{204}, false},
			{"PUT", "/stream?" + q, hello, []int{204}, false},
			{"PUT", "/stream?" + q, hello, []int{204}, false},
			{"DELETE", "/stream?" + q + "&snapshot=true", "", []int{204, 404}, false},
		}
	}, func(run string) []string { return texts(run, 0, 0) }},
}

// A run and its re-run, of each client, with the server killed before each of
// its requests in turn: both are attempts with all of their lines.
func TestARunAndItsReRunAreBothKept(t *testing.T) {
	t.Parallel()
	s := startServer(t, program(t), "LOG_SERVICE_DISABLE_AUTH=true")
	r := &replay{t, s.addr, proctest.StartClock(t)}
	for _, c := range runners {
		for crash := range len(c.steps("", "")) + 1 {
			key := strings.NewReplacer(" ", "-", ",", "").Replace(c.name) + fmt.Sprint("/", crash)
			for n, run := range []string{"first", "second"} {
				for i, step := range c.steps(key, run) {
					if i == crash {
						s.kill()
						s.start()
					}
					r.perform(key, step)
				}
				r.awaitAttempt(key, n+1, c.lines(run))
			}
			r.wantAttempt(key, 1, c.lines("first"))
			r.wantAttempt(key, 0, c.lines("second"))
		}
	}
}

// perform sends a request as clients do: again, while the answer is temporary.
func (r *replay) perform(key string, s step) {
	r.t.Helper()
	target := s.target
	if s.link {
		made := r.send(goRequest("POST", "/blob/link/upload?accountID=acc&key="+key, "", ""))
		var link struct{ Link string }
		if err := json.Unmarshal([]byte(made.body), &link); err != nil {
			r.t.Fatalf("link %s, %v", made.body, err)
		}
		target = "/" + strings.SplitN(link.Link, "/", 4)[3]
	}
	r.eventually(s.method+" "+target+" is answered", func() bool {
		a := r.send(goRequest(s.method, target, "", s.body))
		status := 0
		if _, err := fmt.Sscanf(a.first, "HTTP/1.1 %d", &status); err != nil {
			r.t.Fatalf("%q: %v", a.first, err)
		}
		if status == http.StatusServiceUnavailable {
			return false
		}
		if !slices.Contains(s.want, status) {
			r.t.Fatalf("%s %s: %s%s, want %v", s.method, target, a.head, a.body, s.want)
		}
		return true
	})
}

// awaitAttempt waits until an attempt is archived with these lines.
func (r *replay) awaitAttempt(key string, attempt int, want []string) {
	r.t.Helper()
	r.eventually(fmt.Sprintf("attempt %d of %s is archived", attempt, key), func() bool {
		info := r.send(goRequest("GET", "/stream/info?accountID=acc", "", ""))
		return !strings.Contains(info.body, `"archiving"`)
	})
	r.wantAttempt(key, attempt, want)
}

// wantAttempt checks the lines of an attempt, by download and by tail; 0 is what
// readers get by default.
func (r *replay) wantAttempt(key string, attempt int, want []string) {
	r.t.Helper()
	q := "?accountID=acc&key=" + key
	if attempt > 0 {
		q += fmt.Sprint("&attempt=", attempt)
	}
	blob := r.send(goRequest("GET", "/blob"+q, "", ""))
	if got := outsOf(r.t, strings.Split(strings.TrimSpace(blob.body), "\n")); !slices.Equal(got, want) {
		r.t.Errorf("%s, attempt %d: the blob has\n%q\nwant\n%q", key, attempt, got, want)
	}
	tail := r.send(goRequest("GET", "/stream"+q, "", ""))
	var data []string
	for event := range strings.SplitSeq(tail.body, "\n\n") {
		if _, line, ok := strings.Cut(event, "\ndata: {"); ok {
			data = append(data, "{"+line)
		}
	}
	if got := outsOf(r.t, data); !slices.Equal(got, want) {
		r.t.Errorf("%s, attempt %d: the tail has\n%q\nwant\n%q", key, attempt, got, want)
	}
}

func outsOf(t *testing.T, lines []string) (outs []string) {
	t.Helper()
	for _, line := range lines {
		var l struct{ Out string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		outs = append(outs, strings.TrimSuffix(l.Out, "\n"))
	}
	return outs
}

// eventually waits until done is true.
func (r *replay) eventually(what string, done func() bool) {
	r.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(startLimit)
	for !done() {
		select {
		case <-tick.C:
		case <-limit:
			r.t.Fatalf("%s: not within %v", what, startLimit)
		}
	}
}
