package httpapi_test

import (
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dchest/authcookie"

	httpapi "github.com/harness/log-service/internal/api/http"
	"github.com/harness/log-service/internal/auth"
)

const droneBatch = `[{"pos":0,"out":"a\n","time":0},{"pos":1,"out":"b\n","time":2}]`

func TestABatchOfAStepIsStoredOnceAlsoByAnotherServer(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	s.must(200, "POST", "/rpc/v2/step/1/logs/batch", droneBatch)
	before := s.must(200, "GET", "/stream/info?accountID=default", "").body
	// A server that does not remember the step: one that was restarted.
	other := httptest.NewServer(httpapi.New(httpapi.Config{Service: s.service}))
	defer other.Close()
	s.must(200, "POST", other.URL+"/rpc/v2/step/1/logs/batch", droneBatch)
	if after := s.must(200, "GET", "/stream/info?accountID=default", "").body; !strings.Contains(after, `"size":2`) {
		t.Errorf("a retried batch was stored again: %s, before it %s", after, before)
	}
	s.must(200, "POST", other.URL+"/rpc/v2/step/1/logs/batch", `[{"pos":2,"out":"c\n","time":9}]`)
	s.must(200, "POST", "/rpc/v2/step/1/logs/upload", `[{"pos":0,"out":"a\n","time":0}]`)
	log := s.must(200, "GET", "/blob?accountID=default&key=drone/step/1", "").body
	var times []time.Time
	for line := range strings.Lines(log) {
		_, rest, _ := strings.Cut(line, `"time":"`)
		text, _, _ := strings.Cut(rest, `"`)
		at, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		times = append(times, at)
	}
	if len(times) != 3 || times[1].Sub(times[0]) != 2*time.Second || times[2].Sub(times[0]) != 9*time.Second {
		t.Errorf("times %v, want 0, 2 and 9 s after the first", times)
	}
	if age := time.Since(times[0]); age < 2*time.Second || age > time.Minute {
		t.Errorf("the step began %v ago, want 2 s before its first batch", age)
	}
}

// A runner with a limit streams the start of a log and uploads its end; and a
// batch that was on its way arrives after that.
func TestALogOfDroneIsWholeWhateverComesOfItWhen(t *testing.T) {
	s := startServer(t, httpapi.Config{})
	batch := func(from, to int) string {
		var b strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&b, `,{"pos":%d,"out":"%d\n","time":%d}`, i, i, i)
		}
		return "[" + b.String()[1:] + "]"
	}
	s.must(200, "POST", "/rpc/v2/step/1/logs/batch", batch(0, 5))
	s.must(200, "POST", "/rpc/v2/step/1/logs/batch", batch(5, 10))
	s.must(200, "POST", "/rpc/v2/step/1/logs/upload", batch(15, 20))
	for range 2 { // the second is a retry
		s.must(200, "POST", "/rpc/v2/step/1/logs/batch", batch(18, 22))
	}
	var got []string
	for line := range strings.Lines(s.must(200, "GET", "/blob?accountID=default&key=drone/step/1", "").body) {
		_, text, _ := strings.Cut(line, `"out":"`)
		text, _, _ = strings.Cut(text, `\n`)
		got = append(got, text)
	}
	want := "0 1 2 3 4 5 6 7 8 9 [5 lines lost] 15 16 17 18 19 20 21"
	if strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if live := s.must(200, "GET", "/stream/info?accountID=default", "").body; strings.Contains(live, "drone") {
		t.Errorf("a late batch opened the log again: %s", live)
	}
}

func TestARunnerOfDroneShowsItsTokenAndWritesToItsAccount(t *testing.T) {
	s := startServer(t, httpapi.Config{Auth: newVerifier(t)})
	account := authcookie.NewSinceNow("A", time.Hour, []byte(testSecret))
	pusher := tokenFor(t, testSecret, auth.Grant{Account: "A", Verbs: auth.Push})
	s.must(400, "POST", "/rpc/v2/step/1/logs/batch", droneBatch)
	s.must(403, "POST", "/rpc/v2/step/1/logs/batch", droneBatch, "X-Drone-Token", "wrong")
	s.must(200, "POST", "/rpc/v2/step/1/logs/batch", droneBatch, "X-Drone-Token", pusher)
	s.must(403, "POST", "/rpc/v2/step/1/logs/upload", droneBatch, "X-Drone-Token", pusher)
	s.must(200, "POST", "/rpc/v2/step/1/logs/upload", droneBatch, "X-Drone-Token", account)
	s.must(200, "GET", "/blob?accountID=A&key=drone/step/1", "", "X-Harness-Token", account)
}

func TestMetricsTakeTheGlobalToken(t *testing.T) {
	s := startServer(t, httpapi.Config{Auth: newVerifier(t)})
	account := authcookie.NewSinceNow("A", time.Hour, []byte(testSecret))
	s.must(400, "GET", "/metrics", "")
	s.must(400, "GET", "/metrics", "", "Authorization", "Bearer "+account)
	// This server collects none, which only the log of the server says.
	s.must(501, "GET", "/metrics", "", "Authorization", "Bearer "+globalToken)
}
