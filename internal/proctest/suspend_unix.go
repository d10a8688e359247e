//go:build unix

package proctest

import (
	"os"
	"syscall"
)

// Suspend stops a process until Resume. In the meantime the process can be killed,
// but receives no other signal.
func Suspend(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

// Resume continues a suspended process and has no effect on others.
func Resume(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
