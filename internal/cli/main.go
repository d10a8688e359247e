package cli

import (
	"context"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

// Main is the main function of both programs: it runs the command in os.Args and
// returns the exit status. The first SIGINT, SIGTERM or SIGHUP ends the command
// gracefully, the second one at once.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), endings()...)
	defer stop()
	context.AfterFunc(ctx, stop)
	p := Program{
		Name:    calledBy(os.Args[0]),
		Environ: os.Environ(),
		Stdin:   os.Stdin,
		Stdout:  os.Stdout,
		Stderr:  os.Stderr,
	}
	return Run(ctx, p, os.Args[1:])
}

// calledBy returns the program name for help and hints. A link or a copy has its
// own name, if that is one of the program's names.
func calledBy(arg0 string) string {
	name := strings.TrimSuffix(filepath.Base(arg0), ".exe")
	if name == "log-server" {
		return name
	}
	return programName
}

// endings are the signals that end a command gracefully. SIGHUP stays ignored if the
// program was started so, as by nohup.
func endings() []os.Signal {
	all := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		all = append(all, syscall.SIGHUP)
	}
	return all
}
