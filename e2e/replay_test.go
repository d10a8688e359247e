package e2e_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"
)

const (
	ok        = "200 OK"
	noContent = "204 No Content"
	notFound  = "404 Not Found"

	replaySecret = "the secret of a test of the protocol"
	replayGlobal = "the global token of that test"

	// As runners write it: unescaped.
	runnerKey = "accountId:acc/orgId:default/projectId:p1/pipelineId:build_and_test/runSequence:42/level0:pipeline/level1:stages/level2:st;1/level3:spec/level4:execution/level5:steps/level6:Run_1"
)

func TestAGoRunnerIsServedAsItWasByTheFirstService(t *testing.T) {
	t.Parallel()
	r := startReplay(t)
	token := r.token()
	stream := "/stream?accountID=acc&key=" + runnerKey
	r.must(noContent, noContent, goRequest("POST", stream, token, ""))

	// The runner's encoder adds a newline, and it flushes every second.
	first := `[{"level":"info","pos":0,"out":"+ make test\n","time":"2026-01-02T15:04:05.123456789Z","args":null},{"level":"info","pos":1,"out":"ok","time":"2026-01-02T15:04:05.2Z","args":null}]` + "\n"
	a := r.must(noContent, noContent, goRequest("PUT", stream, token, first))
	if a.body != "" || a.header.Get("Content-Type") != "" {
		t.Errorf("a 204 with %q", a.head)
	}
	// Some proxies use chunked encoding; each piece arrives separately.
	second := `[{"level":"info","pos":2,"out":"done\u001b[0m\n","time":"2026-01-02T15:04:06.000000001Z","args":{"k":"v"}}]` + "\n"
	chunked := append([]string{"PUT " + stream + " HTTP/1.1\r\nHost: logs:8079\r\nUser-Agent: Go-http-client/1.1\r\nTransfer-Encoding: chunked\r\n" +
		"X-Harness-Token: " + token + "\r\nAccept-Encoding: gzip\r\n\r\n"}, chunkedBody(second, 17)...)
	r.must(noContent, noContent, chunked...)
	r.must(noContent, noContent, goRequest("PUT", stream, token, "null\n"))
	r.must(noContent, noContent, goRequest("PUT", stream, token, "[]\n"))
	// A retried open deletes nothing.
	r.must(noContent, noContent, goRequest("POST", stream, token, ""))

	info := r.send(goRequest("GET", "/stream/info?accountID=acc", token, ""))
	if !strings.Contains(info.body, `"size":3,`) {
		t.Errorf("3 lines were sent, each twice; the server has %s", info.body)
	}
	r.must(noContent, notFound, goRequest("DELETE", stream+"&snapshot=true", token, ""))

	tail := r.send(goRequest("GET", stream, token, ""))
	lines := strings.Split(strings.TrimSuffix(strings.TrimPrefix(first, "["), "]\n"), `,{"level"`)
	want := ": ping\nid: 1\ndata: " + lines[0] + "\n\nid: 2\ndata: {\"level\"" + lines[1] + "\n\nid: 3\ndata: " +
		strings.TrimSuffix(second[1:], "]\n") + "\n\nevent: error\ndata: eof\n\n"
	if tail.body != want {
		t.Errorf("tail\n%q\nwant\n%q", tail.body, want)
	}
	for name, value := range map[string]string{"Content-Type": "text/event-stream", "Cache-Control": "private, no-cache", "Connection": "keep-alive", "X-Accel-Buffering": "no", "Access-Control-Allow-Origin": "*"} {
		if got := tail.header.Get(name); got != value {
			t.Errorf("tail: %s is %q, want %q", name, got, value)
		}
	}
	blob := r.send(goRequest("GET", "/blob?accountID=acc&key="+runnerKey, token, ""))
	if blob.header.Get("Content-Type") != "text/plain; charset=utf-8" || strings.Count(blob.body, "\n") != 3 || !strings.HasPrefix(blob.body, lines[0]) {
		t.Errorf("the archive is %q with %q", blob.body, blob.head)
	}
}

func TestUploadsOfRunnersSurviveTheirRetries(t *testing.T) {
	t.Parallel()
	r := startReplay(t)
	token := r.token()
	blob := "/blob?accountID=acc&key=" + runnerKey
	content := `{"level":"info","pos":0,"out":"a=1&b=2%zz\n","time":"2026-01-02T15:04:05Z","args":null}` + "\n"
	r.must(noContent, noContent, goRequest("POST", blob, token, content))
	// A client that has consumed its body sends none on a retry.
	a := r.send(goRequest("POST", blob, token, ""))
	if a.first != "HTTP/1.1 409 Conflict" || !strings.HasPrefix(a.body, `{"error_msg":"`) || a.header.Get("Content-Type") != "application/json" {
		t.Errorf("an empty retry: %s%s", a.head, a.body)
	}
	empty := append([]string{"POST " + blob + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nX-Harness-Token: " + token + "\r\n\r\n"}, chunkedBody("", 1)...)
	if a := r.send(empty...); a.first != "HTTP/1.1 409 Conflict" {
		t.Errorf("an empty chunked retry: %s", a.first)
	}
	// curl declares a form, but the body is not one.
	form := strings.Replace(goRequest("POST", blob, token, content), "Accept-Encoding", "Content-Type: application/x-www-form-urlencoded\r\nAccept-Encoding", 1)
	r.must(noContent, noContent, form)
	if got := r.send(goRequest("GET", blob, token, "")); got.body != content {
		t.Errorf("stored %q, want %q", got.body, content)
	}
	if got := r.send(goRequest("GET", strings.Replace(blob, "/blob", "/blob/exists", 1), token, "")); got.body != "true" {
		t.Errorf("exists: %q", got.body)
	}

	// The default path of runners: a link, then a PUT of JSON lines to it.
	made := r.must(ok, ok, goRequest("POST", strings.Replace(blob, "/blob", "/blob/link/upload", 1), token, ""))
	var link struct {
		Link    string        `json:"link"`
		Expires time.Duration `json:"expires"`
	}
	if err := json.Unmarshal([]byte(made.body), &link); err != nil || link.Expires != time.Hour {
		t.Fatalf("link %s, %v", made.body, err)
	}
	target := "/" + strings.SplitN(link.Link, "/", 4)[3]
	byLink := strings.Repeat(content, 3)
	r.must(ok, ok, "PUT "+target+" HTTP/1.1\r\nHost: logs\r\nUser-Agent: Go-http-client/1.1\r\nContent-Length: "+fmt.Sprint(len(byLink))+"\r\nAccept-Encoding: gzip\r\n\r\n"+byLink)
	if got := r.send(goRequest("GET", blob, token, "")); got.body != byLink {
		t.Errorf("by link: %q", got.body)
	}

	// A zip of everything below a prefix; clients poll by repeating the POST.
	zip := r.must(ok, ok, goRequest("POST", "/blob/download?accountID=acc&prefix=accountId:acc/orgId:default", token, ""))
	if !strings.Contains(zip.body, `"status":"success"`) || !strings.Contains(zip.body, `"link":"http`) {
		t.Errorf("zip: %s", zip.body)
	}
	r.must(notFound, notFound, goRequest("POST", "/blob/download?accountID=acc", token, ""))
	r.must(notFound, notFound, goRequest("POST", "/blob/download?accountID=acc&prefix=accountId:acc/orgId:def", token, ""))
	r.must(noContent, noContent, goRequest("DELETE", "/internal/blob?accountID=acc&key=accountId:acc", replayGlobal, ""))
	r.must(notFound, notFound, goRequest("GET", blob, token, ""))
	r.must(noContent, noContent, goRequest("DELETE", blob, token, ""))
}

func TestAJavaDelegateIsServedAsItWasByTheFirstService(t *testing.T) {
	t.Parallel()
	r := startReplay(t)
	token := r.token()
	java := func(method, target, body string) string {
		kind := ""
		if body != "" {
			kind = "Content-Type: application/json; charset=UTF-8\r\n"
		}
		return method + " " + target + " HTTP/1.1\r\nX-Harness-Token: " + token + "\r\n" + kind +
			fmt.Sprintf("Content-Length: %d\r\nHost: logs:8079\r\nConnection: Keep-Alive\r\nAccept-Encoding: gzip\r\nUser-Agent: okhttp/4.10.0\r\n\r\n", len(body)) + body
	}
	stream := "/stream?accountID=acc&key=" + runnerKey
	r.must(noContent, noContent, java("POST", stream+"&timeout_seconds=18000", ""))
	body := `[{"level":"INFO","pos":0,"out":"Executing command\n","time":1767366245123,"args":{}},{"level":"WARN","pos":1,"out":"\u001b[33mcareful\u001b[0m","time":1767366245.5,"args":{}},{"level":"ERROR","pos":2,"time":"2026-01-02T15:04:05.123Z","out":"no"}]`
	r.must(noContent, noContent, java("PUT", stream, body))
	tail := dial(t, r.addr)
	tail.write(java("GET", stream, ""))
	for seq, want := range []string{`"level":"INFO","pos":0,"out":"Executing command\n","time":1767366245123,`, `"time":1767366245.5,`, `"level":"ERROR"`} {
		tail.until(fmt.Sprintf("id: %d\n", seq+1))
		if row, err := tail.in.ReadString('\n'); err != nil || !strings.HasPrefix(row, "data: {") || !strings.Contains(row, want) {
			t.Errorf("line %d comes as %q, %v; want %s in it", seq+1, row, err, want)
		}
	}
	// Explicitly no snapshot: the log is dropped, and its readers see the end.
	r.must(noContent, notFound, java("DELETE", stream+"&snapshot=false", ""))
	if row := tail.until("data: eof\n"); row == "" {
		t.Error("the reader did not get the end")
	}
	r.must(notFound, notFound, java("GET", "/blob?accountID=acc&key="+runnerKey, ""))

	// Closing below a prefix matches whole segments; closing none is fine.
	for _, key := range []string{"run:1/a", "run:1/b", "run:10/a", "list/1", "list/2"} {
		r.must(noContent, noContent, java("POST", "/stream?accountID=acc&key="+key, ""))
	}
	r.must(noContent, noContent, java("DELETE", "/stream?accountID=acc&key=run:1&prefix=true&snapshot=true", ""))
	r.must(noContent, noContent, java("DELETE", "/stream?accountID=acc&key=&keyList=list/1,list/2&snapshot=false", ""))
	info := r.send(java("GET", "/stream/info?accountID=acc", ""))
	if !strings.Contains(info.body, `{"streams":{"run:10/a":{`) || strings.Count(info.body, `"size"`) != 1 {
		t.Errorf("left open: %s; want run:10/a alone", info.body)
	}
	all := r.send(strings.Replace(java("GET", "/info/stream", ""), token, replayGlobal, 1))
	if !strings.Contains(all.body, `"acc/run:10/a"`) {
		t.Errorf("of all accounts: %s", all.body)
	}
}

func TestTheWordsThatClientsKnow(t *testing.T) {
	t.Parallel()
	r := startReplay(t)
	token := r.token()
	foreign := strings.Replace(token, token[:8], "AAAAAAAA", 1)
	stream := "/stream?accountID=acc&key=k"
	for _, c := range []struct{ request, status, words string }{
		{goRequest("PUT", "/stream?key=k", token, "[]"), "400 Bad Request", "no account ID in query params"},
		{strings.Replace(goRequest("PUT", stream, "x", "[]"), "X-Harness-Token: x\r\n", "", 1), "400 Bad Request", "no token in header"},
		{goRequest("PUT", stream, foreign, "[]"), "403 Forbidden", "operation not permitted for accountID: acc"},
		{goRequest("PUT", "/stream?accountID=other&key=k", token, "[]"), "403 Forbidden", "operation not permitted for accountID: other"},
		{goRequest("GET", "/token?accountID=acc", "wrong", ""), "400 Bad Request", "token in request not authorized for receiving tokens"},
		{goRequest("PUT", stream, token, `[{"out":"x"}]`), "400 Bad Request", "stream: not found"},
		{goRequest("DELETE", stream, token, ""), notFound, "stream: not found"},
		{goRequest("POST", stream+"&timeout_seconds=-1", token, ""), "400 Bad Request", "timeout_seconds"},
		{goRequest("POST", "/stream?accountID=acc&key=../other/k", token, ""), "400 Bad Request", "key"},
		{goRequest("POST", "/rca", token, "{}"), "501 Not Implemented", "not supported"},
		{goRequest("POST", "/stackdriver", token, "{}"), "501 Not Implemented", "not supported"},
	} {
		a := r.send(c.request)
		if a.first != "HTTP/1.1 "+c.status || !strings.HasPrefix(a.body, `{"error_msg":"`) || !strings.Contains(a.body, c.words) || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("%.120q\nanswer %s%s\nwant %s and %q", c.request, a.head, a.body, c.status, c.words)
		}
	}
	for _, path := range []string{"/healthz", "/ready/healthz"} {
		if a := r.send(goRequest("GET", path, "", "")); a.body != "OK" {
			t.Errorf("%s: %q", path, a.body)
		}
	}
	a := r.send("OPTIONS /stream HTTP/1.1\r\nHost: x\r\nOrigin: https://ui\r\nAccess-Control-Request-Method: GET\r\nAccess-Control-Request-Headers: x-harness-token\r\n\r\n")
	if a.first != "HTTP/1.1 "+noContent || a.header.Get("Access-Control-Allow-Origin") != "*" || !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), "X-Harness-Token") {
		t.Errorf("OPTIONS: %s", a.head)
	}
}

// These clients send the same bytes for equal lines, and all of those lines are
// in the log.
func TestEqualLinesOfOtherClientsAreAllStored(t *testing.T) {
	t.Parallel()
	r := startReplay(t)
	token := r.token()
	curl := func(target, body string) string {
		return "PUT " + target + " HTTP/1.1\r\nHost: logs:8079\r\nUser-Agent: syslog-ng 4.8.0\r\nAccept: */*\r\nX-Harness-Token: " + token + "\r\n" +
			fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body)) + body
	}
	for _, c := range []struct {
		key  string
		send func(target, body string) string
		body string
	}{
		{"original-command-line", func(target, body string) string { return goRequest("PUT", target, token, body) },
			`[{"level":"info","pos":0,"out":"hello","time":"0001-01-01T00:00:00Z","args":null}]` + "\n"},
		{"chaos-pod", func(target, body string) string { return goRequest("PUT", target, token, body) },
			`[{"level":"info","pos":1,"out":"[Start]: pod-delete FAULT START","time":"2025-05-01T17:27:56Z","args":{"PodName":"pod-delete-wm3-d6moyr-vwkng","PodNamespace":"v2"}}]` + "\n"},
		{"syslog-ng", curl, `[{"time":"2026-01-02T15:04:05+00:00","pos":0,"out":"tick","level":"notice"}]`},
	} {
		target := "/stream?accountID=acc&key=" + c.key
		r.must(noContent, noContent, goRequest("POST", target, token, ""))
		for range 2 {
			r.must(noContent, noContent, c.send(target, c.body)) // sends it twice
		}
		r.must(noContent, notFound, goRequest("DELETE", target+"&snapshot=true", token, ""))
		blob := r.send(goRequest("GET", "/blob?accountID=acc&key="+c.key, token, ""))
		if want := strings.Repeat(strings.Trim(c.body, "[]\n")+"\n", 4); blob.body != want {
			t.Errorf("stored\n%swant\n%s", blob.body, want)
		}
	}
}

// A runner begins with a single line: it is recognized by its time alone. And a
// Drone runner sends single lines within a second, which only pos distinguishes.
func TestSingleLinesOfRunnersAreRecognized(t *testing.T) {
	t.Parallel()
	r := startReplay(t)
	token := r.token()
	target := "/stream?accountID=acc&key=" + runnerKey
	r.must(noContent, noContent, goRequest("POST", target, token, ""))
	var want string
	for pos, nanosecond := range []string{"123456789", "2", "200000001"} {
		line := fmt.Sprintf(`{"level":"info","pos":%d,"out":"tick\n","time":"2026-01-02T15:04:05.%sZ","args":null}`, pos, nanosecond)
		r.must(noContent, noContent, goRequest("PUT", target, token, "["+line+"]\n"))
		want += line + "\n"
	}
	r.must(noContent, notFound, goRequest("DELETE", target+"&snapshot=true", token, ""))
	if blob := r.send(goRequest("GET", "/blob?accountID=acc&key="+runnerKey, token, "")); blob.body != want {
		t.Errorf("stored\n%swant\n%s", blob.body, want)
	}
	for pos := range 3 {
		body := fmt.Sprintf(`[{"pos":%d,"out":"tick\n","time":0}]`+"\n", pos)
		r.must(ok, ok, "POST /rpc/v2/step/78/logs/batch HTTP/1.1\r\nHost: drone\r\nUser-Agent: Go-http-client/1.1\r\n"+
			fmt.Sprintf("Content-Length: %d\r\nX-Drone-Token: %s\r\nAccept-Encoding: gzip\r\n\r\n", len(body), token)+body)
	}
	if info := r.send(goRequest("GET", "/stream/info?accountID=acc", token, "")).body; !strings.Contains(info, `"drone/step/78":{"size":3,`) {
		t.Errorf("3 lines were sent, each twice; the server has %s", info)
	}
}

func TestADroneRunnerIsServed(t *testing.T) {
	t.Parallel()
	r := startReplay(t)
	token := r.token()
	drone := func(what, body string) string {
		return "POST /rpc/v2/step/77/logs/" + what + " HTTP/1.1\r\nHost: drone\r\nUser-Agent: Go-http-client/1.1\r\n" +
			fmt.Sprintf("Content-Length: %d\r\nX-Drone-Token: %s\r\nAccept-Encoding: gzip\r\n\r\n", len(body), token) + body
	}
	batch := `[{"pos":0,"out":"+ go test\n","time":0},{"pos":1,"out":"ok\n","time":2}]` + "\n"
	r.must(ok, ok, drone("batch", batch))
	r.must(ok, ok, drone("upload", batch))
	blob := r.send(goRequest("GET", "/blob?accountID=acc&key=drone/step/77", token, ""))
	rows := strings.Split(blob.body, "\n")
	if len(rows) != 3 || !regexp.MustCompile(`^\{"pos":1,"out":"ok\\n","time":"20\d\d-[^"]*Z","elapsed":2\}$`).MatchString(rows[1]) {
		t.Errorf("stored %q", blob.body)
	}
	for _, row := range rows[:len(rows)-1] {
		var line struct{ Time time.Time }
		if err := json.Unmarshal([]byte(row), &line); err != nil || time.Since(line.Time).Abs() > time.Minute {
			t.Errorf("the time of %s is none of now, %v", row, err)
		}
	}
}

// Closing is answered within the time that clients wait, however long the log is.
func TestTheCloseOfAHugeLogIsAnsweredInTime(t *testing.T) {
	t.Parallel()
	r := startReplay(t)
	token := r.token()
	stream := "/stream?accountID=acc&key=huge"
	r.must(noContent, noContent, goRequest("POST", stream, token, ""))
	line := `{"level":"info","pos":0,"out":"` + strings.Repeat("compile ", 12) + `\n","at":"2026-01-02T15:04:05Z","args":null}`
	body := "[" + strings.Repeat(line+",", 9999) + line + "]"
	const lines = 300_000
	for range lines / 10_000 {
		if a := r.send(goRequest("PUT", stream, token, body)); a.first != "HTTP/1.1 "+noContent {
			t.Fatal(a.head, a.body)
		}
	}
	begun := time.Now()
	if a := r.send(goRequest("DELETE", stream+"&snapshot=true", token, "")); a.first != "HTTP/1.1 "+noContent {
		t.Fatal(a.head, a.body)
	}
	t.Logf("a close of %d lines was answered within %v", lines, time.Since(begun).Round(time.Millisecond))
	// From then on the log can be read, archived or not.
	blob := r.send(goRequest("GET", "/blob?accountID=acc&key=huge", token, ""))
	if n := strings.Count(blob.body, "\n"); n != lines {
		t.Errorf("%d lines of %d", n, lines)
	}
}
