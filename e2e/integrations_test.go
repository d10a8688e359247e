package e2e_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/harness/log-service/internal/proctest"
)

// These tests run the configurations in docs/integrations, as they are there, with
// the addresses and the token of the test.

// blocks returns the blocks of code on a page of docs/integrations.
func blocks(t *testing.T, page string) (all []string) {
	t.Helper()
	text, err := os.ReadFile("../docs/integrations/" + page)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)\n```[a-z]*\n(.*?\n)```\n").FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	if len(all) == 0 {
		t.Fatalf("%s has no block of code", page)
	}
	return all
}

// file writes a file of a test and returns its path.
func file(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// asRoot is the user of a program that drops the rights that it needs to read the
// directories of tests.
func asRoot(line string) string {
	if os.Geteuid() != 0 {
		return ""
	}
	return line
}

// fronts are the proxies of the documentation: each starts one in front of a server,
// with the configuration of its page.
func fronts() map[string]func(t *testing.T, config, addr, server string) *exec.Cmd {
	return map[string]func(t *testing.T, config, addr, server string) *exec.Cmd{
		"nginx": func(t *testing.T, config, addr, server string) *exec.Cmd {
			dir := t.TempDir()
			config = strings.NewReplacer("listen 8080;", "listen "+addr+";", "127.0.0.1:8079", server).Replace(config)
			file(t, dir, "default.conf", config)
			file(t, dir, "nginx.conf", fmt.Sprintf(nginxConf, dir, asRoot("user root;")))
			return exec.Command(proctest.Program(t, "nginx", "nginx-light"), "-e", "stderr", "-p", dir, "-c", dir+"/nginx.conf", "-g", "daemon off;")
		},
		"haproxy": func(t *testing.T, config, addr, server string) *exec.Cmd {
			config = strings.NewReplacer("bind :8080", "bind "+addr, "127.0.0.1:8079", server).Replace(config)
			return exec.Command(proctest.Program(t, "haproxy", "haproxy"), "-db", "-f", file(t, t.TempDir(), "haproxy.cfg", config))
		},
		"caddy": func(t *testing.T, config, addr, server string) *exec.Cmd {
			dir := t.TempDir()
			config = "{\n\tadmin off\n}\n" + strings.NewReplacer(":8080 {", "http://"+addr+" {", "127.0.0.1:8079", server).Replace(config)
			cmd := exec.Command(proctest.Program(t, "caddy", "caddy"), "run", "--adapter", "caddyfile", "--config", file(t, dir, "Caddyfile", config))
			cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH")}
			return cmd
		},
		"apache": func(t *testing.T, config, addr, server string) *exec.Cmd {
			dir := t.TempDir()
			config = strings.NewReplacer("Listen 8080", "Listen "+addr, "*:8080", addr, "127.0.0.1:8079", server).Replace(config)
			around := "ServerName localhost\nServerRoot " + dir + "\nPidFile " + dir + "/pid\nErrorLog /dev/stderr\n" + asRoot("User www-data\nGroup www-data\n")
			for _, m := range []string{"mpm_event", "authz_core", "proxy", "proxy_http", "headers", "env"} {
				around += "LoadModule " + m + "_module /usr/lib/apache2/modules/mod_" + m + ".so\n"
			}
			return exec.Command(proctest.Program(t, "apache2", "apache2-bin"), "-D", "FOREGROUND", "-f", file(t, dir, "apache.conf", around+config))
		},
		"varnish": func(t *testing.T, config, addr, server string) *exec.Cmd {
			dir := t.TempDir()
			_, port, _ := net.SplitHostPort(server)
			config = strings.Replace(config, `"8079"`, `"`+port+`"`, 1)
			return exec.Command(proctest.Program(t, "varnishd", "varnish"), "-F", "-j", "none", "-n", filepath.Join(dir, "work"), "-a", addr, "-s", "malloc,16m",
				"-f", file(t, dir, "default.vcl", config))
		},
	}
}

func TestTheProxiesOfTheDocumentation(t *testing.T) {
	t.Parallel()
	s := startServer(t, program(t))
	for name, command := range fronts() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			addr := proctest.FreeAddr(t)
			cmd := command(t, blocks(t, name+".md")[0], addr, s.addr)
			d := &daemon{t: t, make: func() *exec.Cmd { return cmd }}
			d.start()
			url := "http://" + addr + "/gateway/log-service"
			d.await(func() error { return healthy(url) })
			p := proxied{t, newWire(url), name + "/log"}
			p.tails()
			if name != "apache" { // it gathers a body before it connects
				p.pipes()
			}
			p.links()
		})
	}
}

func healthy(url string) error {
	resp, err := http.Get(url + "/healthz") //nolint:noctx // of a server that the test has started
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("healthz: %s", resp.Status)
	}
	return nil
}

// proxied is a server behind a proxy.
type proxied struct {
	t    *testing.T
	wire *wire
	key  string
}

// sees reads a tail up to text.
func (p proxied) sees(tail *bufio.Reader, text string) {
	p.t.Helper()
	for {
		row, err := tail.ReadString('\n')
		if strings.Contains(row, text) {
			return
		}
		if err != nil {
			p.t.Fatalf("no %s: %v", text, err)
		}
	}
}

// tails follows a log line by line: each is seen before the next one is sent.
func (p proxied) tails() {
	t := p.t
	t.Helper()
	if err := p.wire.open(t.Context(), p.key); err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.wire.url+"/stream?accountID=acc&key="+p.key, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := (&http.Client{Timeout: time.Minute}).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	tail := bufio.NewReader(resp.Body)
	for n := range 20 {
		line := fmt.Sprintf(`{"out":"line %d"}`, n)
		if _, err := p.wire.push(t.Context(), p.key, "", []string{line}); err != nil {
			t.Fatal(err)
		}
		p.sees(tail, line)
	}
	if err := p.wire.close(t.Context(), p.key, ""); err != nil {
		t.Fatal(err)
	}
	p.sees(tail, "data: eof")
}

// pipes sees what is piped into curl while the pipe is open.
func (p proxied) pipes() {
	t := p.t
	t.Helper()
	key := p.key + "/pipe"
	if err := p.wire.open(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	stream := p.wire.url + "/stream?accountID=acc&key=" + key
	cmd := exec.CommandContext(t.Context(), proctest.Program(t, "curl", "curl"), "-sS", "--fail-with-body", "-T", "-", "-H", "Content-Type: text/plain", stream)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for _, row := range []string{"one", "two"} {
		if _, err := io.WriteString(in, row+"\n"); err != nil {
			t.Fatal(err)
		}
		for deadline := time.Now().Add(time.Minute); ; time.Sleep(retryPause) {
			a, err := p.wire.call(t.Context(), http.MethodGet, "/stream", key, "follow=false", nil)
			if err == nil && strings.Contains(string(a.body), `"out":"`+row+`\n"`) {
				break
			}
			if time.Now().After(deadline) {
				t.Fatalf("%s was not stored while curl runs: %v %v", row, a, err)
			}
		}
	}
	_ = in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

// links uses a link, which leads through the proxy.
func (p proxied) links() {
	t := p.t
	t.Helper()
	key := p.key + "/blob"
	a, err := p.wire.call(t.Context(), http.MethodPost, "/blob/link/upload", key, "", nil)
	var made struct{ Link string }
	if err := want(a, err, http.StatusOK); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(a.body, &made); err != nil || !strings.HasPrefix(made.Link, p.wire.url+"/link/upload?") {
		t.Fatalf("link %s, %v; want it below %s", a.body, err, p.wire.url)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, made.Link, strings.NewReader(`{"out":"by link"}`+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := p.wire.http.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
	if a, err := p.wire.call(t.Context(), http.MethodGet, "/blob", key, "", nil); err != nil || !strings.Contains(string(a.body), "by link") {
		t.Errorf("%v %v", a, err)
	}
}

// The scripts of the pages, with a build that fails: its lines are a log, it prints
// as ever, and its status is that of the script, also without a server.
func TestTheScriptsOfTheDocumentation(t *testing.T) {
	t.Parallel()
	s := startServer(t, program(t))
	proctest.Program(t, "curl", "curl")
	bin := t.TempDir()
	if err := os.WriteFile(filepath.Join(bin, "make"), []byte("#!/bin/sh\necho compiling; echo 'an error' >&2; printf 'no line break'; exit 3\n"), 0o700); err != nil { //nolint:gosec // a program
		t.Fatal(err)
	}
	sh := func(page string) string { return blocks(t, page)[0] }
	yaml := func(page, after string) string { // the lines below, without their indent
		_, script, ok := strings.Cut(blocks(t, page)[0], after+"\n")
		if !ok {
			t.Fatalf("%s has no %q", page, after)
		}
		script, _, _ = strings.Cut(script, "'''")
		return script
	}
	for _, c := range []struct{ page, shell, script, key, env string }{
		{"curl.md", "sh", sh("curl.md"), "nightly/" + time.Now().Format(time.DateOnly) + "/build", ""},
		{"github-actions.md", "bash", yaml("github-actions.md", "run: |"), "github/acme/app/7/test", "GITHUB_REPOSITORY=acme/app GITHUB_RUN_ID=7 GITHUB_JOB=test"},
		{"gitlab.md", "sh", yaml("gitlab.md", "- |"), "gitlab/acme/app/7/test", "CI_PROJECT_PATH=acme/app CI_PIPELINE_ID=7 CI_JOB_NAME_SLUG=test"},
		{"jenkins.md", "sh", yaml("jenkins.md", "sh '''"), "jenkins/acme/app/7/test", "JOB_NAME=acme/app BUILD_NUMBER=7"},
	} {
		for _, server := range []string{s.url, "http://127.0.0.1:1"} {
			// As the runners of these systems start a shell.
			cmd := exec.CommandContext(t.Context(), c.shell, "-e", file(t, t.TempDir(), "script", c.script))
			cmd.Dir = t.TempDir()
			cmd.Env = append(strings.Fields(c.env), "LOG_SERVER="+server, "LOG_TOKEN=", "PATH="+bin+":"+os.Getenv("PATH"))
			out, _ := cmd.CombinedOutput()
			status := cmd.ProcessState.ExitCode()
			if wanted := c.page != "curl.md" || server == s.url; wanted && status != 3 || !wanted && status == 0 {
				t.Errorf("%s with the server %s: status %d\n%s", c.page, server, status, out)
			}
			if c.page != "curl.md" && !strings.Contains(string(out), "compiling\nan error\nno line break") {
				t.Errorf("%s with the server %s printed %s", c.page, server, out)
			}
		}
		w := newWire(s.url)
		w.account = "default"
		text, err := w.archive(t.Context(), c.key)
		if err != nil || strings.Count(string(text), "\n") != 3 || !strings.Contains(string(text), `"out":"no line break"`) {
			t.Errorf("%s: the log is %s, %v", c.page, text, err)
		}
	}
	// The rest of the page about curl.
	whole := "log='" + s.url + "/stream?accountID=default&key=nightly/" + time.Now().Format(time.DateOnly) + "/build'\n" +
		`send() { curl -sS -o /dev/null -H "X-Harness-Token: $LOG_TOKEN" "$@"; }` + "\n" + blocks(t, "curl.md")[1] + blocks(t, "curl.md")[2]
	cmd := exec.CommandContext(t.Context(), "sh", "-e", file(t, t.TempDir(), "script", whole))
	cmd.Dir = t.TempDir()
	cmd.Env = []string{"LOG_SERVER=" + s.url, "LOG_TOKEN=", "PATH=" + os.Getenv("PATH")}
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "an error") != 2 {
		t.Errorf("%v: %s", err, out)
	}
	w := newWire(s.url)
	w.account = "default"
	for key, want := range map[string]string{"notes": `"out":"hello"`, "files/build": "a whole log\n"} {
		if text, err := w.archive(t.Context(), key); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%s: %s, %v", key, text, err)
		}
	}
}

// The proxy in front of a Drone server takes the logs of steps, and nothing else.
func TestTheDroneServerOfTheDocumentation(t *testing.T) {
	t.Parallel()
	r := startReplay(t)
	token := r.token()
	drone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "drone") })}
	go func() { _ = server.Serve(drone) }()
	t.Cleanup(func() { _ = server.Close() })
	addr := proctest.FreeAddr(t)
	config := strings.NewReplacer("LOG_TOKEN", token, "127.0.0.1:8000", drone.Addr().String()).Replace(blocks(t, "drone.md")[0])
	cmd := fronts()["nginx"](t, config, addr, r.addr)
	d := &daemon{t: t, make: func() *exec.Cmd { return cmd }}
	d.start()
	d.await(func() error { return healthy("http://" + addr) })
	front := &replay{t, addr, r.clock}
	body := `[{"pos":0,"out":"+ go test\n","time":0}]` + "\n"
	send := func(path string) reply {
		return front.send("POST " + path + " HTTP/1.1\r\nHost: drone\r\nX-Drone-Token: the secret of the runner\r\n" + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(body)) + body)
	}
	for _, path := range []string{"/rpc/v2/step/77/logs/batch", "/rpc/v2/step/77/logs/upload"} {
		if a := send(path); a.first != "HTTP/1.1 "+ok || a.body != "" {
			t.Errorf("%s: %s%s", path, a.head, a.body)
		}
	}
	if a := send("/rpc/v2/stage"); a.body != "drone" {
		t.Errorf("another call of a runner: %s%s", a.head, a.body)
	}
	if a := r.send(goRequest("GET", "/blob?accountID=acc&key=drone/step/77", token, "")); !strings.Contains(a.body, "+ go test") {
		t.Errorf("%s%s", a.head, a.body)
	}
}

func TestSyslogNGOfTheDocumentation(t *testing.T) {
	t.Parallel()
	path := proctest.Program(t, "syslog-ng", "syslog-ng-core syslog-ng-mod-http")
	if modules, _ := filepath.Glob("/usr/lib/syslog-ng/*/libhttp.so"); len(modules) == 0 {
		proctest.Missing(t, "the http destination of syslog-ng (Debian: apt-get install syslog-ng-mod-http)")
	}
	s := startServer(t, program(t))
	page := blocks(t, "syslog-ng.md")
	open := exec.CommandContext(t.Context(), proctest.Program(t, "sh", "dash"), "-ec", page[0])
	open.Env = []string{"LOG_SERVER=" + s.url, "LOG_TOKEN=", "PATH=" + os.Getenv("PATH")}
	if out, err := open.CombinedOutput(); err != nil || len(out) > 0 {
		t.Fatalf("%v: %s", err, out)
	}
	addr, dir := proctest.FreeAddr(t), t.TempDir()
	_, port, _ := net.SplitHostPort(addr)
	config := strings.NewReplacer("port(5140)", "port("+port+")", "127.0.0.1:8079", s.addr).Replace(page[1])
	cmd := exec.Command(path, "-F", "--no-caps", "-f", file(t, dir, "syslog-ng.conf", config), "--persist-file", dir+"/persist", "--pidfile", dir+"/pid", "--control", dir+"/control")
	d := &daemon{t: t, make: func() *exec.Cmd { return cmd }}
	d.start()
	var conn net.Conn
	d.await(func() (err error) { conn, err = net.Dial("tcp", addr); return err })
	defer conn.Close()
	for range 2 {
		if _, err := io.WriteString(conn, "<28>Nov 28 10:00:00 web-1 app: it \"works\" again\n"); err != nil {
			t.Fatal(err)
		}
	}
	w := newWire(s.url)
	w.account = "default"
	want := `"program":"app","out":"it \"works\" again\n","level":"warning"`
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(retryPause) {
		a, err := w.call(t.Context(), http.MethodGet, "/stream", "hosts/web-1", "follow=false", nil)
		if err == nil && strings.Count(string(a.body), want) == 2 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v, %v; want %s twice", a, err, want)
		}
	}
}
