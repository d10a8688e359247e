//go:build unix

package proctest

import (
	"os"
	"syscall"
)

// Suspend stops a process where it is, until Resume. It can be killed
// meanwhile, but does not see any other signal.
func Suspend(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

// Resume lets a suspended process continue; others it does not change.
func Resume(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
