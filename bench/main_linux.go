package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"github.com/harness/log-service/bench/load"
	"github.com/harness/log-service/bench/ref"
	"github.com/harness/log-service/bench/report"
)

// maxRounds bounds the time of a run.
const maxRounds = 9

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "bench:", err)
		}
		os.Exit(1)
	}
}

type options struct {
	match, addr, report, dir, server, profile string
	rounds                                    int
	quick, list                               bool
	reference, listen, listenGRPC             string
}

func parse(args []string, stderr io.Writer) (o options, err error) {
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.StringVar(&o.match, "run", "", "measure the scenarios whose name matches this `regexp`")
	f.IntVar(&o.rounds, "rounds", 0, "times that each subject is measured (default 3, with -quick 1)")
	f.BoolVar(&o.quick, "quick", false, "a selection, shorter: about two minutes")
	f.StringVar(&o.addr, "addr", "", "measure the server that runs at this loopback `address`, without references")
	f.StringVar(&o.report, "report", "", "write the table between the markers of this Markdown `page`")
	f.StringVar(&o.dir, "dir", "", "`folder` for data, on the disk to measure (default: the system's temporary folder)")
	f.StringVar(&o.server, "server", "", "the server's `binary` (default: built from this module)")
	f.StringVar(&o.profile, "perf", "", "record each child with perf into this `folder`")
	f.BoolVar(&o.list, "list", false, "list the scenarios")
	f.StringVar(&o.reference, "reference", "", "be a reference of this `kind` (used by bench itself)")
	f.StringVar(&o.listen, "listen", "", "`address` of the reference")
	f.StringVar(&o.listenGRPC, "listen-grpc", "", "its `address` for gRPC")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	switch {
	case f.NArg() > 0:
		return o, fmt.Errorf("unexpected argument %q", f.Arg(0))
	case o.rounds == 0 && o.quick:
		o.rounds = 1
	case o.rounds == 0:
		o.rounds = 3
	case o.rounds < 0 || o.rounds > maxRounds:
		return o, fmt.Errorf("-rounds %d: at most %d", o.rounds, maxRounds)
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	if o.reference != "" {
		return ref.Serve(o.reference, o.listen, o.listenGRPC)
	}
	chosen, err := choose(o)
	if err != nil {
		return err
	}
	if o.list {
		for _, s := range chosen {
			fmt.Fprintf(stdout, "%-16s %s\n", s.name, s.title(o.quick))
		}
		return nil
	}
	dir, err := os.MkdirTemp(o.dir, "log-service-bench-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r, err := newRunner(ctx, o, dir, stderr)
	if err != nil {
		return err
	}
	at := report.Describe(ctx, dir)
	results, err := r.runAll(ctx, chosen, at, stdout)
	text := report.Markdown(at, results)
	fmt.Fprintln(stderr, text)
	if o.report != "" && err == nil {
		err = report.WriteReport(o.report, text)
	}
	return err
}

// choose selects the scenarios. A pattern reaches those that are not part of
// the quick run, too.
func choose(o options) ([]scenario, error) {
	match, err := regexp.Compile(o.match)
	if err != nil {
		return nil, fmt.Errorf("-run: %w", err)
	}
	var chosen []scenario
	for _, s := range scenarios() {
		if o.match != "" && match.MatchString(s.name) || o.match == "" && (s.quick || !o.quick) {
			chosen = append(chosen, s)
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("no scenario matches %q: -list shows them", o.match)
	}
	return chosen, nil
}

func newRunner(ctx context.Context, o options, dir string, stderr io.Writer) (*runner, error) {
	r := &runner{rounds: o.rounds, quick: o.quick, server: o.server, dir: dir, profile: o.profile, log: stderr}
	var err error
	if r.self, err = os.Executable(); err != nil {
		return nil, err
	}
	if o.profile != "" {
		if r.profile, err = filepath.Abs(o.profile); err != nil {
			return nil, err
		}
		if err := os.MkdirAll(r.profile, 0o755); err != nil {
			return nil, err
		}
	}
	switch {
	case o.addr != "":
		r.addr, err = load.Loopback(o.addr)
	case o.server != "":
		r.server, err = filepath.Abs(o.server)
	default:
		r.server, err = buildServer(ctx, dir)
	}
	return r, err
}

// runAll measures one scenario after the other. One that fails does not keep
// the others from being measured, but the run fails.
func (r *runner) runAll(ctx context.Context, chosen []scenario, at report.Machine, stdout io.Writer) (results []*report.Measured, err error) {
	enc := json.NewEncoder(stdout)
	for i, s := range chosen {
		if ctx.Err() != nil {
			return results, errors.Join(err, ctx.Err())
		}
		if r.addr.IsValid() && s.own {
			fmt.Fprintf(r.log, "%2d/%d %-16s skipped: it needs a server that bench starts itself\n", i+1, len(chosen), s.name)
			continue
		}
		begin := time.Now()
		m, err1 := r.run(ctx, s)
		if err1 != nil {
			fmt.Fprintf(r.log, "%2d/%d %-16s FAILED: %v\n", i+1, len(chosen), s.name, err1)
			err = errors.Join(err, err1)
			continue
		}
		fmt.Fprintf(r.log, "%2d/%d %-16s %.1f s\n", i+1, len(chosen), s.name, time.Since(begin).Seconds())
		results = append(results, m)
		err = errors.Join(err, enc.Encode(struct {
			*report.Measured
			report.Machine
		}{m, at}))
	}
	return results, err
}
