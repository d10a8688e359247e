package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/harness/log-service/bench/load"
	"github.com/harness/log-service/internal/store/s3/s3test"
)

// child is a target that this program started.
type child struct {
	load.Target
	cmd    *exec.Cmd
	exited chan struct{}  // closed after err is set
	err    error          // of the process, once exited
	ready  time.Duration  // from start until it answered
	out    *os.File       // what it printed
	store  *s3test.Server // that it keeps finished logs in; nil: none
}

// startTimeout bounds how long a server may take until it answers.
const startTimeout = time.Minute

// start runs argv, which must listen on addr, and waits until it answers.
func start(ctx context.Context, argv, env []string, dir string, addr netip.AddrPort) (*child, error) {
	out, err := os.OpenFile(filepath.Join(dir, "output"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	c := &child{cmd: exec.Command(argv[0], argv[1:]...), exited: make(chan struct{}), out: out}
	c.cmd.Dir, c.cmd.Stdout, c.cmd.Stderr = dir, out, out
	c.cmd.Env = append(withoutSettings(os.Environ()), env...)
	begin := time.Now()
	if err := c.cmd.Start(); err != nil {
		out.Close()
		return nil, err
	}
	c.Target = load.Target{Addr: addr, Pid: c.cmd.Process.Pid}
	go func() {
		defer close(c.exited)
		c.err = c.cmd.Wait()
	}()
	if err := c.waitReady(ctx); err != nil {
		return nil, errors.Join(err, c.stop(0))
	}
	c.ready = time.Since(begin)
	return c, nil
}

// withoutSettings drops what would configure the server by accident.
func withoutSettings(env []string) []string {
	var out []string
	for _, e := range env {
		if !strings.HasPrefix(e, "LOG_SERVICE_") {
			out = append(out, e)
		}
	}
	return out
}

func (c *child) waitReady(ctx context.Context) error {
	for deadline := time.Now().Add(startTimeout); ; {
		_, err := c.Call(ctx, "GET", "/healthz")
		if err == nil {
			return nil
		}
		select {
		case <-c.exited:
			return fmt.Errorf("%s ended: %w: %s", c.cmd.Path, c.err, c.output())
		case <-ctx.Done():
			return ctx.Err()
		default:
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s does not answer: %w: %s", c.cmd.Path, err, c.output())
		}
		if err := pause(ctx, 2*time.Millisecond); err != nil {
			return err
		}
	}
}

// output is the end of what the child printed.
func (c *child) output() string {
	info, err := c.out.Stat()
	if err != nil {
		return err.Error()
	}
	b := make([]byte, 2000)
	n, _ := c.out.ReadAt(b, max(0, info.Size()-int64(len(b))))
	return string(b[:n])
}

// stop asks the child to exit, and kills it if it has not done so after grace.
func (c *child) stop(grace time.Duration) error {
	defer c.out.Close()
	if c.store != nil {
		defer c.store.Kill()
	}
	if grace > 0 {
		if err := c.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			return err
		}
	}
	t := time.NewTimer(grace)
	defer t.Stop()
	select {
	case <-c.exited:
		return nil
	case <-t.C:
	}
	err := c.cmd.Process.Kill()
	<-c.exited
	if grace > 0 {
		return fmt.Errorf("%s did not stop within %v", c.cmd.Path, grace)
	}
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// freeAddr is a loopback address that nobody listened on a moment ago.
func freeAddr() (netip.AddrPort, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort(), nil
}
