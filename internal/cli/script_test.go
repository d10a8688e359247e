package cli_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/harness/log-service/internal/cli"
	"github.com/harness/log-service/internal/store/s3/s3test"
	"github.com/harness/log-service/internal/tlstest"
)

// startTime limits how long a server may take to start, on a machine that runs all
// tests at once.
const startTime = 30 * time.Second

func TestMain(m *testing.M) {
	program := func() { os.Exit(cli.Main()) }
	testscript.Main(m, map[string]func(){"log-service": program, "log-server": program})
}

// TestScripts runs testdata/*.txtar with the real programs, against real servers on
// free ports. In addition to the standard testscript commands (where stop ends a
// script, and kill a background command) there are:
//
//	serve [NAME=VALUE...]   start `log-service server` with these settings, wait
//	                        until it responds, and point the commands at it; its
//	                        data is in $WORK/data by default, and what it prints
//	                        in $WORK/server.log
//	certificates            make ca.pem, cert.pem and key.pem for this machine
//	shutdown                stop it with SIGTERM; it must exit with status 0
//	crash                   kill it with SIGKILL
//	restart [NAME=VALUE...] shut it down if it runs, then serve at the same address
//	exits N COMMAND...      run a command that must exit with status N
//	follow FILE COMMAND...  run a command in the background, output to FILE
//	type FILE TEXT          write to its standard input, which stays open; @NAME
//	                        as TEXT means the content of a file
//	interrupt FILE          send it SIGINT
//	followed FILE STATUS    wait for it; it must exit with this status
//	shows FILE REGEXP       wait until the file matches
//	objectstore KIND        start an object store; $OBJECTSTORE is its host:port
//	bucket NAME             create a bucket in it
//	answer FILE             start a server that answers every request with the
//	                        bytes of a file; $ANSWER is its host:port
//	send METHOD URL [FILE]  make an HTTP request; stdout is its response; @FILE
//	                        as URL means the address in a file
func TestScripts(t *testing.T) {
	testscript.Run(t, params("testdata"))
}

// TestLinesOnOtherEnginesAndStores runs the script about lines, which TestScripts
// runs on the defaults.
func TestLinesOnOtherEnginesAndStores(t *testing.T) {
	for name, settings := range map[string]func(*testing.T) []string{
		"memory and bolt": func(*testing.T) []string { return []string{"LOG_SERVICE_STREAM=memory"} },
		"disk and S3":     onS3,
		"Redis and S3":    func(t *testing.T) []string { return append(onS3(t), onRedis(t)...) },
	} {
		t.Run(name, func(t *testing.T) {
			p := params("")
			p.Files = []string{"testdata/lines.txtar"}
			setup, environ := p.Setup, settings(t)
			p.Setup = func(env *testscript.Env) error {
				err := setup(env)
				env.Values[stateKey{}].(*state).settings = environ
				return err
			}
			testscript.Run(t, p)
		})
	}
}

func params(dir string) testscript.Params {
	return testscript.Params{
		Dir:                dir,
		RequireUniqueNames: true,
		Setup: func(env *testscript.Env) error {
			env.Values[stateKey{}] = &state{followers: map[string]*follower{}}
			env.Setenv("LOG_SERVICE_DATA", filepath.Join(env.WorkDir, "data"))
			env.Setenv("LOG_SERVICE_HTTP_BIND", "127.0.0.1:0")
			// Not the default port: another script's server may be using it.
			env.Setenv("LOG_SERVICE_GRPC_BIND", "127.0.0.1:0")
			// Otherwise every program built with the race detector sleeps for a
			// second before it exits.
			env.Setenv("GORACE", "atexit_sleep_ms=0")
			return nil
		},
		// [minio] and [versitygw]: the object store is installed, or this is
		// CI, where all of them must be.
		Condition: func(cond string) (bool, error) {
			err := s3test.Installed(s3test.Kind(cond))
			if err == nil || os.Getenv("CI") == "true" {
				return true, nil
			}
			fmt.Fprintln(os.Stderr, "SKIPPED: a script:", err)
			return false, nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"serve": cmdServe, "shutdown": cmdShutdown, "crash": cmdCrash, "restart": cmdRestart, "exits": cmdExits,
			"follow": cmdFollow, "type": cmdType, "interrupt": cmdInterrupt, "followed": cmdFollowed,
			"shows": cmdShows, "send": cmdSend, "certificates": cmdCertificates, "answer": cmdAnswer, "objectstore": cmdObjectStore, "bucket": cmdBucket,
		},
	}
}

type stateKey struct{}

// state holds what a script has running.
type state struct {
	server    *exec.Cmd
	settings  []string // of every server
	objects   *s3test.Server
	followers map[string]*follower // by output file
}

type follower struct {
	*exec.Cmd
	stdin io.WriteCloser
}

func stateOf(ts *testscript.TestScript) *state { return ts.Value(stateKey{}).(*state) }

// command returns a command with the script's environment.
func command(ts *testscript.TestScript, name string, args ...string) *exec.Cmd {
	path := name
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), string(os.PathListSeparator)) {
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			path = filepath.Join(dir, name)
			break
		}
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = ts.MkAbs(".")
	for _, name := range []string{
		"PATH", "HOME", "TMPDIR", "WORK", "LOG_SERVICE_DATA", "LOG_SERVICE_HTTP_BIND", "LOG_SERVICE_GRPC_BIND", "LOG_SERVICE_SERVER",
		"LOG_SERVICE_DISABLE_AUTH", "LOG_SERVICE_STREAM", "GOCOVERDIR", "GORACE",
	} {
		if v := ts.Getenv(name); v != "" {
			cmd.Env = append(cmd.Env, name+"="+v)
		}
	}
	return cmd
}

var (
	listens  = regexp.MustCompile(`listens on (https?://\S+)`)
	overGRPC = regexp.MustCompile(`over gRPC: (grpcs?://\S+)`)
)

func cmdServe(ts *testscript.TestScript, neg bool, args []string) {
	st := stateOf(ts)
	if neg || st.server != nil {
		ts.Fatalf("serve: a server runs, or !")
	}
	cmd := command(ts, "log-service", "server")
	cmd.Env = append(append(cmd.Env, st.settings...), args...)
	// A file, so that a script finds there what happened before an answer.
	name := filepath.Join(ts.Getenv("WORK"), "server.log")
	log, err := os.Create(name)
	ts.Check(err)
	cmd.Stderr = log
	ts.Check(cmd.Start())
	st.server = cmd
	ts.Defer(func() {
		if st.server == cmd {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		_ = log.Close()
	})
	cmdShows(ts, false, []string{name, "^data: "})
	seen := ts.ReadFile(name)
	ts.Setenv("GRPC_SERVER", "")
	if m := overGRPC.FindStringSubmatch(seen); m != nil {
		ts.Setenv("GRPC_SERVER", m[1])
	}
	m := listens.FindStringSubmatch(seen)
	if m == nil {
		ts.Fatalf("the server does not say where it listens:\n%s", seen)
	}
	url := m[1]
	ts.Check(healthy(url, ts.MkAbs("cert.pem"), ts.MkAbs("key.pem")))
	ts.Setenv("LOG_SERVICE_SERVER", url)
}

// healthy waits until the server responds. If the files exist, they hold a client
// certificate.
func healthy(url, cert, key string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTime)
	defer cancel()
	// The server's certificate is not checked here; the commands do that.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	if pair, err := tls.LoadX509KeyPair(cert, key); err == nil {
		transport.TLSClientConfig.Certificates = []tls.Certificate{pair}
	}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport}
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/healthz", nil)
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err == nil {
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusOK && strings.HasPrefix(string(body), "OK") {
				return nil
			}
			err = fmt.Errorf("%s: %s", resp.Status, body)
		}
		if ctx.Err() != nil {
			return fmt.Errorf("the server does not answer: %w", err)
		}
	}
}

// fatal makes a script usable as a tlstest.T.
type fatal struct{ *testscript.TestScript }

func (f fatal) Fatal(args ...any) { f.Fatalf("%s", fmt.Sprint(args...)) }

func cmdCertificates(ts *testscript.TestScript, neg bool, args []string) {
	a := tlstest.NewAuthority(fatal{ts})
	cert, key := a.Leaf("server")
	for name, content := range map[string][]byte{"ca.pem": a.PEM, "cert.pem": cert, "key.pem": key} {
		ts.Check(os.WriteFile(ts.MkAbs(name), content, 0o600))
	}
}

func cmdShutdown(ts *testscript.TestScript, neg bool, args []string) {
	st := stateOf(ts)
	ts.Check(st.server.Process.Signal(syscall.SIGTERM))
	cmd := st.server
	st.server = nil
	if err := cmd.Wait(); err != nil {
		ts.Fatalf("the server ended with %v", err)
	}
}

func cmdRestart(ts *testscript.TestScript, neg bool, args []string) {
	if stateOf(ts).server != nil {
		cmdShutdown(ts, neg, nil)
	}
	bind := "LOG_SERVICE_HTTP_BIND=" + strings.TrimPrefix(ts.Getenv("LOG_SERVICE_SERVER"), "http://")
	cmdServe(ts, neg, append([]string{bind}, args...))
}

func cmdCrash(ts *testscript.TestScript, neg bool, args []string) {
	st := stateOf(ts)
	ts.Check(st.server.Process.Kill())
	_ = st.server.Wait()
	st.server = nil
}

func cmdExits(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: exits STATUS COMMAND...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		got = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("status %d, want %d", got, want)
	}
}

func cmdFollow(ts *testscript.TestScript, neg bool, args []string) {
	st := stateOf(ts)
	if len(args) < 2 || st.followers[args[0]] != nil {
		ts.Fatalf("usage: follow FILE COMMAND..., one for a file")
	}
	out, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	cmd := command(ts, args[1], args[2:]...)
	cmd.Stdout, cmd.Stderr = out, out
	stdin, err := cmd.StdinPipe()
	ts.Check(err)
	ts.Check(cmd.Start())
	st.followers[args[0]] = &follower{cmd, stdin}
	ts.Defer(func() {
		if st.followers[args[0]] != nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
		_ = out.Close()
	})
}

// followerOf finds a follower and checks the number of arguments.
func followerOf(ts *testscript.TestScript, args []string, n int) *follower {
	if len(args) != n || stateOf(ts).followers[args[0]] == nil {
		ts.Fatalf("want %d arguments, the first of them a file that follow writes", n)
	}
	return stateOf(ts).followers[args[0]]
}

func cmdType(ts *testscript.TestScript, neg bool, args []string) {
	f := followerOf(ts, args, 2)
	text := args[1]
	if file, ok := strings.CutPrefix(text, "@"); ok {
		text = ts.ReadFile(file)
	}
	_, err := io.WriteString(f.stdin, text)
	ts.Check(err)
}

func cmdInterrupt(ts *testscript.TestScript, neg bool, args []string) {
	ts.Check(followerOf(ts, args, 1).Process.Signal(os.Interrupt))
}

func cmdFollowed(ts *testscript.TestScript, neg bool, args []string) {
	f := followerOf(ts, args, 2)
	late := time.AfterFunc(startTime, func() { _ = f.Process.Kill() })
	defer late.Stop()
	_ = f.Wait() // the status is checked below
	delete(stateOf(ts).followers, args[0])
	if got := strconv.Itoa(f.ProcessState.ExitCode()); got != args[1] {
		ts.Fatalf("%s ended with status %s, want %s:\n%s", f, got, args[1], ts.ReadFile(args[0]))
	}
}

func cmdShows(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: shows FILE REGEXP")
	}
	re := regexp.MustCompile("(?m)" + args[1])
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.Now().Add(startTime); time.Now().Before(limit); <-tick.C {
		if re.MatchString(ts.ReadFile(args[0])) {
			return
		}
	}
	ts.Fatalf("%s never matches %s:\n%s", args[0], args[1], ts.ReadFile(args[0]))
}

func cmdSend(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: send METHOD URL [FILE]")
	}
	var body io.Reader
	if len(args) > 2 {
		body = strings.NewReader(ts.ReadFile(args[2]))
	}
	url := args[1]
	if file, ok := strings.CutPrefix(url, "@"); ok {
		url = strings.TrimSpace(ts.ReadFile(file))
	}
	req, err := http.NewRequest(args[0], url, body)
	ts.Check(err)
	req.Close = true // a POST is not repeated if a kept connection turns out to be closed
	resp, err := http.DefaultClient.Do(req)
	ts.Check(err)
	defer resp.Body.Close()
	_, err = io.Copy(ts.Stdout(), resp.Body)
	ts.Check(err)
	if resp.StatusCode/100 != 2 != neg {
		ts.Fatalf("%s", resp.Status)
	}
}

func cmdAnswer(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: answer FILE")
	}
	bytes := ts.ReadFile(args[0])
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = l.Close() })
	ts.Setenv("ANSWER", l.Addr().String())
	go func() { // ends with the listener
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { // ends with the connection, or the programs of the script
				defer conn.Close()
				if req, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.CopyN(io.Discard, req.Body, req.ContentLength)
					_, _ = io.WriteString(conn, bytes)
				}
			}()
		}
	}()
}

func cmdObjectStore(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: objectstore KIND")
	}
	srv, err := s3test.New(s3test.Kind(args[0]), ts.MkAbs("."))
	ts.Check(err)
	ts.Defer(srv.Kill)
	stateOf(ts).objects = srv
	ts.Setenv("OBJECTSTORE", srv.Addr)
}

func cmdBucket(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: bucket NAME")
	}
	ts.Check(stateOf(ts).objects.MakeBucket(context.Background(), args[0]))
}
