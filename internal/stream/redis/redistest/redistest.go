// Package redistest starts real Redis servers for tests: on free ports of this
// machine, with their files in a folder of the test, gone when it ends.
package redistest

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/harness/log-service/internal/proctest"
)

// startLimit bounds a start on a machine that does much else.
const startLimit = 30 * time.Second

// commandLimit bounds one command; the making of a Cluster is the longest.
const commandLimit = 20 * time.Second

// Server is one redis-server. Its methods are for the goroutine of the test.
type Server struct {
	Addr string // host:port
	Dir  string

	t      testing.TB
	args   []string
	tls    *TLS
	pass   string
	cmd    *exec.Cmd
	exited chan error
}

// Program finds one of the programs of Redis.
func Program(t testing.TB, name string) string {
	t.Helper()
	return proctest.Program(t, name, "redis-server redis-sentinel")
}

// Start starts a Redis that keeps an append-only file, with more arguments as
// redis-server takes them.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	return start(t, nil, args...)
}

func start(t testing.TB, tls *TLS, args ...string) *Server {
	t.Helper()
	s := &Server{t: t, Dir: t.TempDir(), tls: tls}
	port := freePort(t)
	s.Addr = net.JoinHostPort("127.0.0.1", port)
	s.args = []string{"--bind", "127.0.0.1", "--dir", s.Dir, "--save", "", "--appendonly", "yes", "--daemonize", "no",
		"--repl-diskless-sync-delay", "0"} // no waiting for more replicas
	if tls == nil {
		s.args = append(s.args, "--port", port)
	} else {
		s.args = append(s.args, "--port", "0", "--tls-port", port, "--tls-cert-file", tls.Cert, "--tls-key-file", tls.Key,
			"--tls-ca-cert-file", tls.CA, "--tls-auth-clients", "no", "--tls-replication", "yes", "--tls-cluster", "yes")
	}
	s.args = append(s.args, args...)
	for i, a := range args {
		if a == "--requirepass" {
			s.pass = args[i+1]
		}
	}
	t.Cleanup(s.Kill)
	s.Restart()
	return s
}

// Restart starts the server again, at the address and over the files it had.
func (s *Server) Restart() {
	s.t.Helper()
	s.Kill()
	out, err := os.OpenFile(filepath.Join(s.Dir, "log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	defer out.Close()
	s.cmd = exec.Command(Program(s.t, "redis-server"), s.args...)
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	cmd, exited := s.cmd, make(chan error, 1)
	s.exited = exited
	go func() { exited <- cmd.Wait() }()
	s.await("PONG", "PING")
}

// await waits until the answer to a command holds want.
func (s *Server) await(want string, args ...string) {
	s.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(startLimit)
	for {
		out, err := s.command(args...)
		if err == nil && strings.Contains(out, want) {
			return
		}
		select {
		case err := <-s.exited:
			s.exited <- err
			log, _ := os.ReadFile(filepath.Join(s.Dir, "log"))
			s.t.Fatalf("redis-server ended: %v\n%s", err, log)
		case <-limit:
			s.t.Fatalf("redis at %s: %v answers %q, %v, not %q within %v", s.Addr, args, out, err, want, startLimit)
		case <-tick.C:
		}
	}
}

// Kill is kill -9, at once.
func (s *Server) Kill() {
	if s.cmd == nil {
		return
	}
	_ = s.cmd.Process.Kill()
	<-s.exited
	s.cmd = nil
}

// Pause hangs the server: it takes connections and answers nothing.
func (s *Server) Pause() { s.must(proctest.Suspend(s.cmd.Process)) }

// Resume lets a hung server go on.
func (s *Server) Resume() { s.must(proctest.Resume(s.cmd.Process)) }

func (s *Server) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// PID is the server's process.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// Do sends one command on a connection of its own and returns the answer as
// redis-cli prints it to a pipe.
func (s *Server) Do(args ...string) string {
	s.t.Helper()
	out, err := s.command(args...)
	if err != nil {
		s.t.Fatalf("redis-cli %v: %v %s", args, err, out)
	}
	return out
}

func (s *Server) command(args ...string) (string, error) {
	host, port, _ := net.SplitHostPort(s.Addr)
	flags := []string{"-h", host, "-p", port}
	if s.tls != nil {
		flags = append(flags, "--tls", "--cacert", s.tls.CA)
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, Program(s.t, "redis-cli"), append(flags, args...)...)
	if s.pass != "" {
		cmd.Env = append(os.Environ(), "REDISCLI_AUTH="+s.pass)
	}
	out, err := cmd.CombinedOutput()
	if err == nil && bytes.HasPrefix(out, []byte("ERR")) {
		err = fmt.Errorf("%s", bytes.TrimSpace(out))
	}
	return string(bytes.TrimSpace(out)), err
}

// Info reads one field of INFO.
func (s *Server) Info(field string) string {
	s.t.Helper()
	r := bufio.NewScanner(strings.NewReader(s.Do("INFO", "everything")))
	for r.Scan() {
		if v, ok := strings.CutPrefix(r.Text(), field+":"); ok {
			return strings.TrimSpace(v)
		}
	}
	s.t.Fatalf("INFO has no %s", field)
	return ""
}

// busOffset is how far above its port a Redis of a Cluster has its bus.
const busOffset = 10_000

// freePort returns a port for a Redis, also one of a Cluster.
func freePort(t testing.TB) string {
	t.Helper()
	return strconv.Itoa(proctest.FreePort(t, busOffset))
}
