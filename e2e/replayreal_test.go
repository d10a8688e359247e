package e2e_test

import (
	"archive/zip"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/proctest"
	"github.com/harness/log-service/internal/store/s3/s3test"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// TestWhatRealClientsSend replays what clients of the original Harness log service
// send and expect beyond its protocol, on every engine and store.
func TestWhatRealClientsSend(t *testing.T) {
	t.Parallel()
	for backends, start := range map[string]func(t *testing.T) []string{
		"disk and bolt":   func(*testing.T) []string { return nil },
		"memory and bolt": func(*testing.T) []string { return []string{"LOG_SERVICE_STREAM=" + config.StreamMemory} },
		"Redis and S3": func(t *testing.T) []string {
			redis, s3 := redistest.Start(t), s3test.Run(t, s3test.Versity)
			return []string{"LOG_SERVICE_REDIS_ENDPOINT=" + redis.Addr, "LOG_SERVICE_S3_BUCKET=" + s3.Bucket(t), "LOG_SERVICE_S3_ENDPOINT=" + s3.Endpoint(),
				"LOG_SERVICE_S3_PATH_STYLE=true", "LOG_SERVICE_S3_ACCESS_KEY_ID=" + s3test.AccessKey, "LOG_SERVICE_S3_SECRET_ACCESS_KEY=" + s3test.SecretKey}
		},
	} {
		t.Run(backends, func(t *testing.T) {
			t.Parallel()
			r := startReplay(t, start(t)...)
			for name, test := range map[string]func(r *replay){
				"a step has the logs of its command units": (*replay).commandUnits,
				"the session of a user interface":          (*replay).session,
				"errors for the original Go client":        (*replay).originalErrors,
				"odd positions and slashes":                (*replay).oddRequests,
				"the rest of a block of a Drone runner":    (*replay).droneBlocks,
				"a pipe into curl":                         (*replay).curlPipe,
				"bodies of curl, Windows and JavaScript":   (*replay).oddBodies,
				"behind a path":                            (*replay).behindAPath,
			} {
				t.Run(name, func(t *testing.T) { test(&replay{t, r.addr, r.clock}) })
			}
		})
	}
}

// Harness closes, zips and deletes <step>, and its logs are <step>-commandUnit:<unit>.
func (r *replay) commandUnits() {
	t, token := r.t, r.token()
	step := runnerKey + "_1"
	within := []string{step, step + "-commandUnit:Execute", step + "-commandUnit:Wrap Up", step + "/sub"}
	beside := []string{step + "0", step + "0-commandUnit:Execute", step + "-commandUnitExecute", step + "-x"}
	for _, key := range slices.Concat(within, beside) {
		stream := "/stream?accountID=acc&key=" + strings.ReplaceAll(key, " ", "%20")
		r.must(noContent, noContent, goRequest("POST", stream, token, ""))
		r.send(goRequest("PUT", stream, token, fmt.Sprintf(`[{"out":%q}]`, key)))
	}
	listed := func(prefix string) []string {
		var info struct{ Streams map[string]any }
		a := r.send(goRequest("GET", "/stream/info?accountID=acc&prefix="+prefix, token, ""))
		if err := json.Unmarshal([]byte(a.body), &info); err != nil {
			t.Fatal(a.head, a.body)
		}
		return sortedKeys(info.Streams)
	}
	if got, want := listed(step), slices.Sorted(slices.Values(within)); !slices.Equal(got, want) {
		t.Errorf("listed %q, want %q", got, want)
	}
	r.must(noContent, noContent, goRequest("DELETE", "/stream?accountID=acc&key="+step+"&prefix=true&snapshot=true", token, ""))
	if got, want := listed("accountId:acc"), slices.Sorted(slices.Values(beside)); !slices.Equal(got, want) {
		t.Errorf("left open %q, want %q", got, want)
	}
	for _, key := range beside {
		r.must(noContent, notFound, goRequest("DELETE", "/stream?accountID=acc&key="+key, token, ""))
	}

	names := r.zipped(step, token)
	if len(names) != len(within) || slices.ContainsFunc(names, func(n string) bool { return strings.Contains(n, step[len(runnerKey)-10:]+"0") }) {
		t.Errorf("zipped %q, want %d logs", names, len(within))
	}
	r.must(noContent, noContent, goRequest("DELETE", "/internal/blob?accountID=acc&key="+step, replayGlobal, ""))
	for _, key := range within {
		r.must(notFound, notFound, goRequest("GET", "/blob?accountID=acc&key="+strings.ReplaceAll(key, " ", "%20"), token, ""))
	}
	for _, key := range beside {
		if a := r.send(goRequest("GET", "/blob?accountID=acc&key="+key, token, "")); a.first != "HTTP/1.1 "+ok {
			t.Errorf("%s was deleted, too: %s", key, a.first)
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// zipped returns the names in the zip of what is below a prefix.
func (r *replay) zipped(prefix, token string) (names []string) {
	r.t.Helper()
	made := r.must(ok, ok, goRequest("POST", "/blob/download?accountID=acc&prefix="+prefix, token, ""))
	var link struct{ Link string }
	if err := json.Unmarshal([]byte(made.body), &link); err != nil {
		r.t.Fatal(made.body)
	}
	got := r.send(goRequest("GET", "/"+strings.SplitN(link.Link, "/", 4)[3], "", ""))
	z, err := zip.NewReader(strings.NewReader(got.body), int64(len(got.body)))
	if err != nil {
		r.t.Fatalf("%v: %s", err, got.head)
	}
	for _, f := range z.File {
		names = append(names, f.Name)
	}
	return names
}

// The Harness UI adds its session as a second credential, to every request.
func (r *replay) session() {
	session := "Authorization: Bearer eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJIYXJuZXNzIEluYyIsInVzciI6IngifQ.c2lnbmF0dXJl\r\n"
	with := func(request string) string { return strings.Replace(request, "\r\n\r\n", "\r\n"+session+"\r\n", 1) }
	t, token := r.t, r.token()
	stream := "/stream?accountID=acc&key=" + runnerKey
	r.must(noContent, noContent, with(goRequest("POST", stream, token, "")))
	r.must(noContent, noContent, with(goRequest("PUT", stream, token, `[{"pos":0,"out":"x","time":"2026-01-02T15:04:05.1Z"}]`)))
	r.must(ok, ok, with(goRequest("GET", "/stream/info?accountID=acc", token, "")))
	r.must(noContent, notFound, with(goRequest("DELETE", stream, token, "")))
	if a := r.send(with(goRequest("GET", stream, token, ""))); !strings.Contains(a.body, `"out":"x"`) {
		t.Errorf("%s%s", a.head, a.body)
	}
	r.must(ok, ok, with(goRequest("GET", "/blob?accountID=acc&key="+runnerKey, token, "")))
	r.must(ok, ok, with(goRequest("GET", "/token?accountID=acc", replayGlobal, "")))
	alone := strings.Replace(with(goRequest("GET", stream, "", "")), "X-Harness-Token: \r\n", "", 1)
	if a := r.must("400 Bad Request", "400 Bad Request", alone); !strings.Contains(a.body, "no token in header") {
		t.Error(a.body)
	}
}

// originalError is the error of the original Go client, which cannot read anything
// else.
type originalError struct {
	Code    int    `json:"code"`
	Message string `json:"error_msg"`
}

func (r *replay) originalErrors() {
	token := r.token()
	stream := "/stream?accountID=acc&key=k"
	for request, want := range map[string]originalError{
		goRequest("PUT", stream, token, `[{"out":"x"}]`):                                     {400, "stream: not found"},
		goRequest("DELETE", stream, token, ""):                                               {404, "stream: not found"},
		goRequest("GET", "/blob?accountID=acc&key=k", token, ""):                             {404, "blob: not found"},
		goRequest("PUT", "/stream?accountID=B&key=k", token, "[]"):                           {403, "operation not permitted for accountID: B"},
		goRequest("POST", "/rca", token, "{}"):                                               {501, ""},
		goRequest("GET", "/no/such/route", token, ""):                                        {404, "no such route"},
		goRequest("POST", stream, token, `[{"out":"lines that belong to a PUT"}]`):           {400, "POST /stream opens a log and takes no lines: use PUT to send them"},
		goRequest("POST", stream, token, `{"level":"info","message":"a winston transport"}`): {400, "POST /stream opens a log and takes no lines: use PUT to send them"},
	} {
		a := r.send(request)
		var got originalError
		if err := json.Unmarshal([]byte(a.body), &got); err != nil {
			r.t.Errorf("the client prints an error without words: %v: %s", err, a.body)
		}
		if want.Message == "" {
			want.Message = got.Message
		}
		if got != want || !strings.Contains(a.body, `"reason":"`) {
			r.t.Errorf("%.100q: %s, want %+v", request, a.body, want)
		}
	}
}

// A slash after the path, and a tail with a position that is none.
func (r *replay) oddRequests() {
	t, token := r.t, r.token()
	stream := "/stream/?accountID=acc&key=odd"
	r.must(noContent, noContent, goRequest("POST", stream, token, ""))
	r.must(noContent, noContent, goRequest("PUT", stream, token, `[{"pos":0,"out":"x","time":"2026-01-02T15:04:05.1Z"}]`))
	want := ": ping\nid: 1\ndata: {\"pos\":0,\"out\":\"x\",\"time\":\"2026-01-02T15:04:05.1Z\"}\n\nevent: error\ndata: eof\n\n"
	for _, state := range []string{"live", "archived"} {
		for _, position := range []string{"abc", "-1", "12345678901234567890", "1 2", "\xc3\xa9", "2-x"} {
			get := strings.Replace(goRequest("GET", stream+"&follow=false", token, ""), "\r\n\r\n", "\r\nLast-Event-ID: "+position+"\r\n\r\n", 1)
			if a := r.send(get); a.first != "HTTP/1.1 "+ok || a.body != want || a.header.Get("X-Log-State") != state {
				t.Errorf("%s, after %q: %s%s", state, position, a.head, a.body)
			}
		}
		if state == "live" {
			r.must(noContent, notFound, goRequest("DELETE", stream, token, ""))
		}
	}
}

// A Drone runner splits each block of output, and sends the rest: nothing.
func (r *replay) droneBlocks() {
	t, token := r.t, r.token()
	drone := func(what, body string) string {
		return "POST /rpc/v2/step/9/logs/" + what + " HTTP/1.1\r\nHost: drone\r\n" +
			fmt.Sprintf("Content-Length: %d\r\nX-Drone-Token: %s\r\n\r\n", len(body), token) + body
	}
	first := `{"pos":0,"out":"+ go test\n","time":0},{"pos":1,"out":"\n","time":0},{"pos":2,"out":"","time":0}`
	second := `{"pos":3,"out":"ok\n","time":2},{"pos":4,"out":"","time":2}`
	r.must(ok, ok, drone("batch", "["+first+"]\n"))
	r.must(ok, ok, drone("batch", "["+second+"]\n"))
	r.must(ok, ok, drone("batch", `[{"pos":5,"out":"","time":3}]`+"\n"))
	if info := r.send(goRequest("GET", "/stream/info?accountID=acc", token, "")).body; !strings.Contains(info, `"drone/step/9":{"size":3,`) {
		t.Errorf("3 lines were sent; the server has %s", info)
	}
	r.must(ok, ok, drone("upload", "["+first+","+second+"]\n"))
	blob := r.send(goRequest("GET", "/blob?accountID=acc&key=drone/step/9", token, "")).body
	if strings.Count(blob, "\n") != 3 || strings.Contains(blob, `"out":""`) {
		t.Errorf("stored %q", blob)
	}
}

// What is piped into curl is stored as it comes: readers see it while the program
// still runs.
func (r *replay) curlPipe() {
	t, token := r.t, r.token()
	curl := proctest.Program(t, "curl", "curl")
	stream := "/stream?accountID=acc&key=curl/pipe"
	r.must(noContent, noContent, goRequest("POST", stream, token, ""))
	cmd := exec.CommandContext(t.Context(), curl, "-sS", "--fail-with-body", "-T", "-", "-H", "Content-Type: text/plain", "-H", "X-Harness-Token: "+token, "http://"+r.addr+stream)
	out, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{"compiling", "testing", "no line break at the end"} {
		end := "\n"
		if strings.HasPrefix(row, "no ") {
			end = ""
		}
		if _, err := io.WriteString(out, row+end); err != nil {
			t.Fatal(err)
		}
		if end != "" {
			r.await(token, stream, `"out":"`+row+`\n"`)
		}
	}
	_ = out.Close()
	if err := cmd.Wait(); err != nil {
		t.Errorf("curl: %v", err)
	}
	r.await(token, stream, `"out":"no line break at the end"`)
}

// await waits until a tail of what exists contains text.
func (r *replay) await(token, stream, text string) {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(retryPause) {
		tail := r.send(goRequest("GET", stream+"&follow=false", token, "")).body
		if strings.Contains(tail, text) {
			return
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("no %s in %s", text, tail)
		}
	}
}

func (r *replay) oddBodies() {
	t, token := r.t, r.token()
	stream := "/stream?accountID=acc&key=bodies"
	r.must(noContent, noContent, goRequest("POST", stream, token, ""))
	typed := func(kind, body string) string {
		return strings.Replace(goRequest("PUT", stream, token, body), "Accept-Encoding", "Content-Type: "+kind+"\r\nAccept-Encoding", 1)
	}
	want := ""
	for _, c := range []struct{ request, line string }{
		{goRequest("PUT", stream, token, "\xef\xbb\xbf"+`[{"pos":0,"out":"array"}]`), `{"pos":0,"out":"array"}`},
		{typed("application/ndjson", "\xef\xbb\xbf"+`{"pos":1,"out":"rows"}`+"\r\n"), `{"pos":1,"out":"rows"}`},
		{typed("application/jsonl", `{"pos":2,"out":"rows"}`), `{"pos":2,"out":"rows"}`},
		{goRequest("PUT", stream, token, `[{"pos":3,"out":"half an emoji \ud83d, and one \ud83d\ude00"}]`), `{"pos":3,"out":"half an emoji \ufffd, and one \ud83d\ude00"}`},
	} {
		if a := r.send(c.request); a.first != "HTTP/1.1 "+noContent {
			t.Errorf("%q: %s%s", c.request, a.head, a.body)
		}
		want += c.line + "\n"
	}
	if a := r.send(typed("text/plain", "\xef\xbb\xbftext\n")); a.first != "HTTP/1.1 "+noContent {
		t.Errorf("%s%s", a.head, a.body)
	}
	a := r.send(typed("application/x-www-form-urlencoded", "hello"))
	if a.first != "HTTP/1.1 400 Bad Request" || !strings.Contains(a.body, "Content-Type: text/plain") {
		t.Errorf("curl --data-binary hello: %s%s", a.head, a.body)
	}
	r.must(noContent, notFound, goRequest("DELETE", stream, token, ""))
	blob := r.send(goRequest("GET", "/blob?accountID=acc&key=bodies", token, "")).body
	if rest, ok := strings.CutPrefix(blob, want); !ok || !strings.HasPrefix(rest, `{"level":"info","pos":4,"out":"text\n",`) {
		t.Errorf("stored\n%swant\n%s", blob, want)
	}
}

// A proxy adds /gateway/log-service, and removes it from requests.
func (r *replay) behindAPath() {
	t, token := r.t, r.token()
	behind := func(request string) string {
		return strings.Replace(request, "Accept-Encoding", "X-Forwarded-Prefix: /gateway/log-service\r\nX-Forwarded-Proto: https\r\nAccept-Encoding", 1)
	}
	var made struct{ Link string }
	for _, target := range []string{"/blob/link/upload?accountID=acc&key=behind/a", "/blob/link/download?accountID=acc&key=behind/a", "/blob/download?accountID=acc&prefix=behind"} {
		if err := json.Unmarshal([]byte(r.must(ok, ok, behind(goRequest("POST", target, token, ""))).body), &made); err != nil {
			t.Fatal(err)
		}
		path, ours := strings.CutPrefix(made.Link, "https://logs:8079/gateway/log-service/")
		if !ours {
			if !strings.HasPrefix(target, "/blob/link/download") || strings.Contains(made.Link, "logs:8079") { // a bucket has links of its own
				t.Errorf("%s: %s", target, made.Link)
			}
			continue
		}
		request := goRequest("GET", "/"+path, "", "")
		if strings.HasPrefix(path, "link/upload") {
			request = goRequest("PUT", "/"+path, "", `{"out":"x"}`+"\n")
		}
		r.must(ok, ok, request)
	}
}
