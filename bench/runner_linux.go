package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/harness/log-service/bench/load"
	"github.com/harness/log-service/bench/report"
	"github.com/harness/log-service/internal/store/s3/s3test"
)

// measureTimeout bounds one measurement of one subject.
const measureTimeout = 3 * time.Minute

// runner measures scenarios.
type runner struct {
	rounds  int
	quick   bool
	addr    netip.AddrPort // a server that runs already; zero: start them
	server  string         // the server's binary
	self    string         // this program's, for the references
	dir     string         // temporary folder
	profile string         // folder for perf's files, "" none
	log     io.Writer
}

// run measures s: all subjects in turn, several times over, so that all see
// the same conditions of the machine.
func (r *runner) run(ctx context.Context, s scenario) (*report.Measured, error) {
	out := &report.Measured{Scenario: s.name, About: s.title(r.quick), Rounds: r.rounds, Quick: r.quick, Rows: s.rows, All: map[string][]report.Metrics{}}
	for round := range r.rounds {
		for _, sub := range s.subjects {
			if r.addr.IsValid() && sub.process != durable {
				continue
			}
			m, err := r.one(ctx, s, sub)
			if err != nil {
				return nil, fmt.Errorf("%s, %s, round %d: %w", s.name, sub.name, round+1, err)
			}
			out.All[sub.name] = append(out.All[sub.name], m)
		}
	}
	out.Sum()
	return out, nil
}

// one measures one subject, in a folder and a process of its own.
func (r *runner) one(ctx context.Context, s scenario, sub subject) (m report.Metrics, err error) {
	ctx, cancel := context.WithTimeout(ctx, measureTimeout)
	defer cancel()
	dir, err := os.MkdirTemp(r.dir, "")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	e := &env{dir: dir, quick: r.quick, n: s.count.of(r.quick)}
	switch {
	case sub.process == inProcess:
		return sub.measure(ctx, e)
	case r.addr.IsValid():
		e.t = &load.Target{Addr: r.addr, Service: true}
		return sub.measure(ctx, e)
	}
	e.again = func(ctx context.Context) (*child, error) { return r.start(ctx, sub.process, dir) }
	c, err := e.again(ctx)
	if err != nil {
		return nil, err
	}
	e.child, e.t = c, &c.Target
	defer func() {
		// Its own folder goes next: an orderly stop gains nothing.
		err = errors.Join(err, c.stop(0))
	}()
	stop, err := r.record(c, s, sub)
	if err != nil {
		return nil, err
	}
	m, err = sub.measure(ctx, e)
	if err != nil {
		if out := c.output(); out != "" {
			err = fmt.Errorf("%w\nthe server printed: %s", err, out)
		}
	}
	return m, errors.Join(err, stop())
}

// start starts p with dir as its data folder.
func (r *runner) start(ctx context.Context, p process, dir string) (*child, error) {
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	grpcAddr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	if p != durable && p != volatile && p != objects {
		argv := []string{r.self, "-reference", string(p), "-listen", addr.String(), "-listen-grpc", grpcAddr.String()}
		c, err := start(ctx, argv, nil, dir, addr)
		if err == nil {
			c.Grpc = grpcAddr
		}
		return c, err
	}
	env := []string{"LOG_SERVICE_HTTP_BIND=" + addr.String(), "LOG_SERVICE_GRPC_BIND=" + grpcAddr.String(), "LOG_SERVICE_DATA=" + filepath.Join(dir, "data")}
	if p == volatile {
		env = append(env, "LOG_SERVICE_STREAM=memory")
	}
	var store *s3test.Server
	if p == objects {
		if store, err = objectStore(ctx, dir); err != nil {
			return nil, err
		}
		env = append(env, objectSettings(store)...)
	}
	c, err := start(ctx, []string{r.server, "server"}, env, dir, addr)
	if err != nil {
		if store != nil {
			store.Kill()
		}
		return nil, err
	}
	c.Grpc, c.Service, c.Dir, c.store = grpcAddr, true, filepath.Join(dir, "data"), store
	return c, nil
}

// record profiles the child with perf, if requested, until stop.
func (r *runner) record(c *child, s scenario, sub subject) (stop func() error, err error) {
	if r.profile == "" {
		return func() error { return nil }, nil
	}
	file := filepath.Join(r.profile, strings.ReplaceAll(s.name, "/", "-")+"-"+sub.name+".perf")
	cmd := exec.Command("perf", "record", "-q", "-g", "-F", "499", "-o", file, "-p", fmt.Sprint(c.Pid))
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("perf: %w", err)
	}
	return func() error {
		if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
			return fmt.Errorf("perf: %w", err)
		}
		// perf ends with the status of the signal.
		_ = cmd.Wait()
		return nil
	}, nil
}

// buildServer compiles the server of this module.
func buildServer(ctx context.Context, dir string) (string, error) {
	bin := filepath.Join(dir, "log-service")
	out, err := exec.CommandContext(ctx, "go", "build", "-o", bin, "github.com/harness/log-service/cmd/log-service").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("build the server: %w: %s", err, out)
	}
	return bin, nil
}
