package e2e_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harness/log-service/internal/proctest"
)

// message is what a library for server-sent events has delivered.
type message struct {
	ID   string `json:"id"`
	Data string `json:"data"`
	End  bool   `json:"end"`
}

// browser starts e2e/testdata/browser/events.js. Its messages are complete when it
// ends, which it does when the log does.
func browser(t *testing.T, library, url, token string) (wait func() []message) {
	t.Helper()
	node := proctest.Program(t, "node", "nodejs npm")
	modules, err := filepath.Abs("../.cache/browser/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "eventsource")); err != nil {
		proctest.Missing(t, "the package eventsource (run make test-servers)")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, node, "testdata/browser/events.js", library, url, token)
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return func() (all []message) {
		t.Helper()
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s%s", library, err, out.Bytes(), stderr.Bytes())
		}
		for row := range strings.Lines(out.String()) {
			var m message
			if err := json.Unmarshal([]byte(row), &m); err != nil {
				t.Errorf("%s printed %q", library, row)
			}
			all = append(all, m)
		}
		return all
	}
}

// Libraries of browsers get every line once, and nothing else: no message for a
// ping, and none for the end.
func TestUserInterfacesFollowALog(t *testing.T) {
	t.Parallel()
	r := startReplay(t, "LOG_SERVICE_QUERY_TOKENS=true", "LOG_SERVICE_ACCOUNT_MAX_TAILS=4")
	token := r.token()
	stream := "/stream?accountID=acc&key=ui"
	r.must(noContent, noContent, goRequest("POST", stream, token, ""))
	url := "http://" + r.addr + stream
	readers := map[string]func() []message{
		"eventsource":                browser(t, "eventsource", url, token),
		"polyfill":                   browser(t, "polyfill", url, token),
		"fetch":                      browser(t, "fetch", url, token),
		"eventsource, query":         browser(t, "eventsource", url+"&X-Harness-Token="+token, ""),
		"eventsource, over a limit":  nil,
		"eventsource, odd positions": nil,
	}
	r.subscribers(token, "ui", 4)
	// One too many: it comes back until there is a place for it.
	readers["eventsource, over a limit"] = browser(t, "eventsource", url, token)
	readers["eventsource, odd positions"] = browser(t, "polyfill", url+"&lastEventId=undefined", token)
	want := []message{}
	for n := range 3 {
		line := fmt.Sprintf(`{"level":"info","pos":%d,"out":"line %d\n","time":"2026-01-02T15:04:05.%dZ","args":null}`, n, n, n+1)
		r.must(noContent, noContent, goRequest("PUT", stream, token, "["+line+"]"))
		want = append(want, message{ID: fmt.Sprint(n + 1), Data: line})
	}
	want = append(want, message{End: true})
	r.must(noContent, notFound, goRequest("DELETE", stream, token, ""))
	for name, wait := range readers {
		if diff := cmp.Diff(want, wait()); diff != "" {
			t.Errorf("%s\n%s", name, diff)
		}
	}
}

// subscribers waits until a log has so many readers.
func (r *replay) subscribers(token, key string, n int) {
	r.t.Helper()
	want := fmt.Sprintf(`"subscribers":%d,`, n)
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(retryPause) {
		info := r.send(goRequest("GET", "/stream/info?accountID=acc&prefix="+key, token, "")).body
		if strings.Contains(info, want) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("no %s in %s", want, info)
		}
	}
}
