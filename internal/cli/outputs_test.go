package cli_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/harness/log-service/internal/cli"
	"github.com/harness/log-service/internal/store/s3/s3test"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// TestRealOutputsComeBackByteForByte pushes and uploads what real programs wrote
// (testdata/outputs; docker.txt is made up), and reads it in every way that promises all bytes: live and
// archived, over HTTP and gRPC, on each engine with a store.
func TestRealOutputsComeBackByteForByte(t *testing.T) {
	outputs := realOutputs(t)
	for name, start := range map[string]func(*testing.T) []string{
		"disk and bolt": func(*testing.T) []string { return nil },
		"Redis and S3":  func(t *testing.T) []string { return append(onS3(t), onRedis(t)...) },
	} {
		t.Run(name, func(t *testing.T) {
			environ := start(t)
			httpURL, grpcURL := serve(t, environ...)
			for name, text := range outputs {
				if len(text) > 10<<20 && os.Getenv("LOG_SERVICE_TEST_LONG") == "" && len(environ) > 0 {
					continue // once is enough
				}
				t.Run(name, func(t *testing.T) { roundTrip(t, httpURL, grpcURL, name, text) })
			}
		})
	}
}

// onS3 are the settings of a server with a bucket of its own.
func onS3(t *testing.T) []string {
	t.Helper()
	if err := s3test.Installed(s3test.MinIO); err != nil && os.Getenv("CI") != "true" {
		t.Skip(err)
	}
	objects := s3test.Run(t, s3test.MinIO)
	return []string{
		"LOG_SERVICE_S3_ENDPOINT=" + objects.Endpoint(), "LOG_SERVICE_S3_PATH_STYLE=true", "LOG_SERVICE_S3_BUCKET=" + objects.Bucket(t),
		"LOG_SERVICE_S3_ACCESS_KEY_ID=" + s3test.AccessKey, "LOG_SERVICE_S3_SECRET_ACCESS_KEY=" + s3test.SecretKey, "LOG_SERVICE_S3_REGION=us-east-1",
	}
}

// onRedis are the settings of a server with a Redis of its own.
func onRedis(t *testing.T) []string {
	t.Helper()
	return []string{"LOG_SERVICE_REDIS_ENDPOINT=" + redistest.Start(t).Addr}
}

// realOutputs are the recorded outputs, those with other line breaks and ends,
// and 100,000 lines of a build.
func realOutputs(t *testing.T) map[string]string {
	outputs := map[string]string{
		"dots": "...done\n", "blank rows": "one\n\n\ntwo\n", "no end": "a\nb", "one row": "a", "Windows": "a\r\n\r\nb\r\n",
		"brackets": "[]\nBuild ok\n", "numbers": "null\n1\n[2]\n\"3\"\n", "objects": "{\"a\":1}\n {\"a\": 2}\r\n{}\n{\"a\":3}",
		"long": "x" + strings.Repeat("é✓", 300_000/5) + "\nafter\n", "very long": strings.Repeat("y", 3<<20) + "\nafter",
		"cut-off JSON": "{\"out\":\n", "controls": "a\x1b]0;t\x07\u0085\u2028\x7f\n",
	}
	files, err := filepath.Glob("testdata/outputs/*")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		outputs[filepath.Base(f)] = string(data)
	}
	// What a build of this package would run, as often as it takes.
	build, err := exec.Command("go", "build", "-a", "-n", ".").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, build)
	}
	var big strings.Builder
	for n := 0; n < 100_000; {
		for line := range bytes.Lines(build) {
			fmt.Fprintf(&big, "%d %s", n, line)
			n++
		}
	}
	outputs["100,000 lines"] = big.String()
	return outputs
}

func roundTrip(t *testing.T, httpURL, grpcURL, name, text string) {
	key := strings.NewReplacer(" ", "-", ",", "").Replace(name)
	file := filepath.Join(t.TempDir(), "output")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	want := func(what, text string, args ...string) {
		t.Helper()
		if got := run(t, "", args...); got != text {
			t.Errorf("%s: %s", what, difference(got, text))
		}
	}
	run(t, text, "--server", httpURL, "cistream", "push", "--open", "pushed/"+key, "-")
	live := []string{"logs", "pushed/" + key, "--raw", "--server"}
	want("live", text, append(live, httpURL)...)
	want("live over gRPC", text, append(live, grpcURL)...)
	run(t, "", "--server", httpURL, "cistream", "close", "pushed/"+key)
	want("archived", text, append(live, httpURL)...)
	want("archived, over gRPC", text, append(live, grpcURL)...)
	want("downloaded", text, "--server", httpURL, "cistore", "download", "pushed/"+key, "--format", "text")
	shown := run(t, "", "--server", httpURL, "logs", "pushed/"+key)

	run(t, "", "--server", httpURL, "cistore", "upload", "stored/"+key, file)
	run(t, text, "--server", httpURL, "cistore", "upload", "piped/"+key, "-")
	resp, err := http.Post(httpURL+"/blob?accountID=default&key=sent/"+url.QueryEscape(key), "", strings.NewReader(text))
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Fatal(resp, err)
	}
	resp.Body.Close()
	for _, by := range []string{"stored/", "piped/", "sent/"} {
		want(by+" downloaded", text, "--server", httpURL, "cistore", "download", by+key, "--format", "text")
		want(by+" read", text, "--server", httpURL, "logs", by+key, "--raw")
		want(by+" read over gRPC", text, "--server", grpcURL, "logs", by+key, "--raw")
		want(by+" shown", shown, "--server", httpURL, "logs", by+key)
	}
	// All views count alike, and the rows of the text are the lines.
	rows := strings.Count(text, "\n")
	if text[len(text)-1] != '\n' {
		rows++
	}
	for _, by := range []string{"pushed/", "stored/", "sent/"} {
		if n := strings.Count(run(t, "", "--server", httpURL, "logs", by+key, "-o", "json"), "\n"); n != rows {
			t.Errorf("%s: %d lines of JSON for %d rows", by, n, rows)
		}
	}
}

// run runs a command that must succeed, and returns its output.
func run(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if status := cli.Run(t.Context(), cli.Program{Name: "log-service", Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr}, args); status != 0 {
		t.Fatalf("%v: status %d: %s", args, status, &stderr)
	}
	return stdout.String()
}

// difference describes where two texts differ.
func difference(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	from := max(0, i-20)
	return fmt.Sprintf("%d bytes, want %d; at byte %d %.60q, want %.60q", len(got), len(want), i, got[min(from, len(got)):], want[min(from, len(want)):])
}

// serve runs a server until the test ends.
func serve(t *testing.T, environ ...string) (httpURL, grpcURL string) {
	t.Helper()
	settings := map[string]string{"LOG_SERVICE_HTTP_BIND": "127.0.0.1:0", "LOG_SERVICE_GRPC_BIND": "127.0.0.1:0", "LOG_SERVICE_DATA": t.TempDir()}
	for name := range maps.Keys(settings) {
		environ = append(environ, name+"="+settings[name])
	}
	ctx, stop := context.WithCancel(context.Background())
	stderr, w := io.Pipe()
	done := make(chan int, 1)
	go func() {
		done <- cli.Run(ctx, cli.Program{Name: "log-service", Environ: environ, Stdin: strings.NewReader(""), Stdout: io.Discard, Stderr: w}, []string{"server"})
		w.Close()
	}()
	t.Cleanup(func() {
		stop()
		<-done
	})
	seen := ""
	for lines := bufio.NewScanner(stderr); (httpURL == "" || grpcURL == "") && lines.Scan(); {
		seen += lines.Text() + "\n"
		if m := overGRPC.FindStringSubmatch(lines.Text()); m != nil {
			grpcURL = m[1]
		}
		if m := listens.FindStringSubmatch(lines.Text()); m != nil {
			httpURL = m[1]
		}
	}
	go func() { _, _ = io.Copy(io.Discard, stderr) }() // ends with the server
	if httpURL == "" || grpcURL == "" {
		t.Fatalf("the server does not say where it listens:\n%s", seen)
	}
	return httpURL, grpcURL
}
