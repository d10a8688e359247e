package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
)

// Statuses of commands that cannot be started, as in shells.
const (
	exitNotExecutable = 126
	exitNoCommand     = 127
	exitSignal        = 128 // plus the number of the signal
)

// orphanTime is how long output is awaited after the command has ended. Then only
// what it started in the background, and left behind, can still write.
const orphanTime = 5 * time.Second

// child runs a command whose output goes to this program's outputs, byte for byte,
// and to a log.
//
// The command's outputs are pipes, as they are in CI, also where this program has a
// terminal: a terminal of its own would change what it prints. Its standard input and
// /dev/tty are this program's.
type child struct {
	s   *session
	cmd *exec.Cmd
	log *client.Writer // nil: none
	// interrupted ends with a signal that the command is not there to get.
	interrupted context.Context
	interrupt   context.CancelFunc
	signals     chan os.Signal

	mu      sync.Mutex // guards running
	running *os.Process
}

// newChild prepares a command. Signals are the command's from now on, until stop.
func newChild(s *session, command []string) *child {
	c := &child{s: s, signals: make(chan os.Signal, 8)}
	// Nothing here ends the command: whoever wants that sends a signal.
	c.cmd = exec.CommandContext(context.Background(), command[0], command[1:]...)
	c.cmd.Stdin = s.Stdin
	c.interrupted, c.interrupt = context.WithCancel(context.Background())
	signal.Notify(c.signals, append(endings(), syscall.SIGQUIT)...)
	// Caught, so that a closed output is an error for the command, see pump, and not
	// the end of this program; and not ignored, which the command would inherit.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	go c.pass()
	return c
}

func (c *child) stop() {
	signal.Stop(c.signals)
	c.interrupt()
}

// pass gives signals to the command while it runs.
func (c *child) pass() {
	for {
		select {
		case sig := <-c.signals:
			if !c.passed(sig) {
				c.stop() // the next one ends this program at once
			}
		case <-c.interrupted.Done():
			return
		}
	}
}

func (c *child) passed(sig os.Signal) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.running == nil {
		return false
	}
	// A terminal sends Ctrl-C to the command, too: twice would be another request.
	if fromKeyboard := sig == os.Interrupt || sig == syscall.SIGQUIT; !fromKeyboard || !isTerminal(c.s.Stdin) {
		_ = c.running.Signal(sig) // it may have just ended
	}
	return true
}

// run runs the command and returns its status once all of its output is passed on.
func (c *child) run() int {
	pumps, err := c.start()
	if err != nil {
		return c.failed(err)
	}
	var all sync.WaitGroup
	for _, p := range pumps {
		all.Go(p.run)
	}
	_ = c.cmd.Wait() // its state has the result
	c.setRunning(nil)
	for _, p := range pumps {
		p.end()
	}
	all.Wait()
	state := c.cmd.ProcessState
	if ws, ok := state.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return exitSignal + int(ws.Signal())
	}
	return state.ExitCode()
}

func (c *child) setRunning(p *os.Process) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.running = p
}

// start starts the command and returns the pumps of its outputs.
func (c *child) start() (pumps []*pump, err error) {
	c.cmd.Stdout, c.cmd.Stderr = c.s.Stdout, c.s.Stderr
	var theirs []*os.File
	defer func() {
		for _, f := range theirs {
			_ = f.Close()
		}
		if err != nil {
			for _, p := range pumps {
				_ = p.out.Close()
			}
		}
	}()
	pipe := func(local, log io.Writer) (*os.File, error) {
		r, w, err := os.Pipe()
		if err == nil {
			theirs = append(theirs, w)
			pumps = append(pumps, &pump{out: r, local: local, log: log})
		}
		return w, err
	}
	if c.log != nil {
		stdout, err := pipe(c.s.Stdout, c.log)
		if err != nil {
			return pumps, err
		}
		c.cmd.Stdout, c.cmd.Stderr = stdout, stdout
		// Outputs that go to the same place share a pipe, which keeps their order.
		if !sameFile(c.s.Stdout, c.s.Stderr) {
			if c.cmd.Stderr, err = pipe(c.s.Stderr, c.log.Stream()); err != nil {
				return pumps, err
			}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock() // no signal comes between
	if err := c.cmd.Start(); err != nil {
		return pumps, err
	}
	c.running = c.cmd.Process
	return pumps, nil
}

func sameFile(a, b io.Writer) bool {
	f, ok1 := a.(*os.File)
	g, ok2 := b.(*os.File)
	if !ok1 || !ok2 {
		return false
	}
	fi, err1 := f.Stat()
	gi, err2 := g.Stat()
	return err1 == nil && err2 == nil && os.SameFile(fi, gi)
}

// failed reports that the command cannot be started, here and in the log.
func (c *child) failed(err error) int {
	text := fmt.Sprintf("%s: cannot run %s: %v\n", c.s.Name, c.cmd.Path, err)
	fmt.Fprint(c.s.Stderr, text)
	if c.log != nil {
		_ = c.log.WriteLine(logservice.Line{Level: "error", Out: text, Time: time.Now()}) // finish reports a loss
	}
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
		return exitNoCommand
	}
	return exitNotExecutable
}

// pump passes on one output of a command: first here, then to the log.
type pump struct {
	out        *os.File
	local, log io.Writer
	ended      atomic.Bool // the command has ended
}

func (p *pump) run() {
	defer p.out.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := p.out.Read(buf)
		if n > 0 {
			_, failed := p.local.Write(buf[:n])
			_, _ = p.log.Write(buf[:n]) // never fails
			if errors.Is(failed, syscall.EPIPE) {
				return // as without this program: the command's next write fails
			}
		}
		if err != nil {
			return // the end of output, or of the time after the command's end
		}
		if p.ended.Load() {
			p.extend()
		}
	}
}

// end limits how long the pump waits for output, where the system can do that.
func (p *pump) end() {
	p.ended.Store(true)
	p.extend()
}

func (p *pump) extend() { _ = p.out.SetReadDeadline(time.Now().Add(orphanTime)) }
