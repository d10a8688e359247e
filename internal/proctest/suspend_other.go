//go:build !unix

package proctest

import (
	"errors"
	"os"
)

// Suspend fails: this system cannot suspend a process.
func Suspend(*os.Process) error { return errors.ErrUnsupported }

// Resume has nothing to do where nothing can be suspended.
func Resume(*os.Process) error { return nil }
