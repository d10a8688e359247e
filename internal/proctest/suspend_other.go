//go:build !unix

package proctest

import (
	"errors"
	"os"
)

// Suspend fails: this system cannot suspend processes.
func Suspend(*os.Process) error { return errors.ErrUnsupported }

// Resume does nothing, because nothing can be suspended.
func Resume(*os.Process) error { return nil }
