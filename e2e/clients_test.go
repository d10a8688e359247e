package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	"github.com/harness/log-service/client/rpc"
	"github.com/harness/log-service/internal/proctest"
)

// Other people's clients of gRPC, which make test installs.

// pinned returns the path of a tool that the Makefile installs.
func pinned(t *testing.T, tool, variable string) string {
	t.Helper()
	text, err := os.ReadFile("../Makefile")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^` + variable + ` := (\S+)$`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("the Makefile has no %s", variable)
	}
	path, err := filepath.Abs("../.cache/bin/" + tool + "-" + string(m[1]))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		proctest.Missing(t, tool+" (run make test-servers)")
	}
	return path
}

// A shell runs every command in docs/grpc.md, in order; each prints what the page
// shows.
func TestTheCallsOfTheDocumentation(t *testing.T) {
	t.Parallel()
	grpcurl := pinned(t, "grpcurl", "GRPCURL_VERSION")
	page, err := os.ReadFile("../docs/grpc.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "```console\n")
	block, _, ok := strings.Cut(block, "```")
	if !ok {
		t.Fatal("docs/grpc.md has no console block")
	}
	_, grpcAddr := startWithGRPC(t)
	bin := t.TempDir()
	if err := os.Symlink(grpcurl, filepath.Join(bin, "grpcurl")); err != nil {
		t.Fatal(err)
	}
	vars, calls := "", 0
	for _, step := range strings.Split(block, "$ ")[1:] {
		command, want, _ := strings.Cut(step, "\n")
		if !strings.HasPrefix(command, "grpcurl ") { // sets a variable for later commands
			vars += command + "; "
			continue
		}
		if calls++; strings.Contains(command, "$ ") {
			t.Fatalf("a command that this test would cut: %s", command)
		}
		command = strings.ReplaceAll(command, "localhost:8078", grpcAddr)
		want, interrupted := strings.CutSuffix(want, "^C\n")
		got := ""
		if interrupted {
			got = begin(t, bin, command, len(values(want)))
		} else {
			got = shell(t, bin, vars+command)
		}
		if diff := cmp.Diff(values(want), values(got)); diff != "" {
			t.Errorf("%s\n%s", command, diff)
		}
	}
	for _, call := range []string{"Open", "Push", "Tail", "Close", "List", "Watch"} {
		if !strings.Contains(block, "LogStream/"+call+"\n") {
			t.Errorf("the page does not show %s", call)
		}
	}
	if calls < 8 {
		t.Errorf("only %d commands", calls)
	}
}

// startWithGRPC starts the program with a known address for gRPC.
func startWithGRPC(t *testing.T) (srv *process, grpcAddr string) {
	t.Helper()
	grpcAddr = proctest.FreeAddr(t)
	return startServer(t, program(t), "LOG_SERVICE_GRPC_BIND="+grpcAddr), grpcAddr
}

func shell(t *testing.T, bin, script string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) { // the page includes grpcurl's error output
		t.Fatal(err)
	}
	return string(out)
}

// begin runs a command that does not end, and returns its output once it has printed
// n values.
func begin(t *testing.T, bin, command string, n int) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", "exec "+command)
	cmd.Env = append(os.Environ(), "PATH="+bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var printed bytes.Buffer
	d := json.NewDecoder(io.TeeReader(out, &printed))
	for range n {
		var v any
		if err := d.Decode(&v); err != nil {
			t.Errorf("%s: %v after %q", command, err, printed.String())
			break
		}
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait() // its status is that of the kill
	return printed.String()
}

// values parses a command's output as JSON values, otherwise as words; of an error,
// only the first lines. Values that depend on time are omitted.
func values(out string) (all []any) {
	out, failure, failed := strings.Cut(out, "ERROR:")
	d := json.NewDecoder(strings.NewReader(out))
	for {
		var v any
		err := d.Decode(&v)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			all = append(all, strings.TrimSpace(out))
			break
		}
		all = append(all, timeless(v))
	}
	if failed {
		code := regexp.MustCompile(`Code: (\w+)`).FindString(failure)
		all = append(all, "ERROR: "+code)
	}
	return all
}

func timeless(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name := range v {
			if name == "ttl" {
				v[name] = "time"
			} else {
				v[name] = timeless(v[name])
			}
		}
	case []any:
		for i := range v {
			v[i] = timeless(v[i])
		}
	}
	return v
}

// A client in another language, with an independent implementation of gRPC, pushes
// and tails; the Go client and HTTP agree with it.
func TestAClientInNode(t *testing.T) {
	t.Parallel()
	node := proctest.Program(t, "node", "nodejs npm")
	modules, err := filepath.Abs("../.cache/node-grpc/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(modules, "@grpc", "grpc-js")); err != nil {
		proctest.Missing(t, "the package @grpc/grpc-js (run make test-servers)")
	}
	srv, grpcAddr := startWithGRPC(t)
	run := func(args ...string) []byte {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), node, append([]string{"testdata/node/client.js", grpcAddr, "../proto"}, args...)...)
		cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, stderr.Bytes())
		}
		return out
	}
	run("push", "node/log", "5000")

	grpcClient, err := client.New("grpc://"+grpcAddr, rpc.Transport(), client.WithAccount("acc"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(grpcClient.CloseIdleConnections)
	httpClient, err := client.New(srv.url, client.WithAccount("acc"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(httpClient.CloseIdleConnections)
	read := func(c *client.Client) []byte {
		var b bytes.Buffer
		n := int64(0)
		for l, err := range c.LinesRaw(t.Context(), "node/log") {
			if n++; err != nil || l.Seq != n {
				t.Fatalf("line %d came as %d: %v", n, l.Seq, err)
			}
			b.Write(append(l.JSON, '\n'))
		}
		return b.Bytes()
	}
	want := read(httpClient)
	if bytes.Count(want, []byte("\n")) != 5000 || !bytes.Contains(want, []byte(`"pos":4999,"out":"línea 4999`)) {
		t.Errorf("%d lines, the last %.200s", bytes.Count(want, []byte("\n")), want[max(0, len(want)-200):])
	}
	if got := read(grpcClient); !bytes.Equal(got, want) {
		t.Error("the Go client reads other lines over gRPC")
	}
	if err := httpClient.Close(t.Context(), logservice.Key("node/log")); err != nil {
		t.Fatal(err)
	}
	if got := run("tail", "node/log"); !bytes.Equal(got, want) {
		t.Errorf("Node reads %d bytes, want %d", len(got), len(want))
	}
}
