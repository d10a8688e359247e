package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"runtime/debug"
	"strings"

	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/server"
	"github.com/harness/log-service/internal/setting"
)

// defaultEnvFile is read if it exists.
const defaultEnvFile = ".env"

type serverCmd struct {
	EnvFile *string `name:"env-file" placeholder:"FILE" help:"Also read settings from this file; the environment takes precedence (.env, if it exists)."`
}

func (*serverCmd) Help() string {
	return "The server is configured by the environment variables below. " +
		"With none set it listens on 127.0.0.1:8079 and keeps all data in the directory data.\n\n" +
		example("log-service server", "LOG_SERVICE_DATA=/var/lib/log-service log-service server") +
		"\n\nSettings, with their defaults; docs/configuration.md has the details:" + settingsHelp()
}

// settingsHelp lists every setting of the server.
func settingsHelp() string {
	var b strings.Builder
	for _, g := range new(config.Config).Groups() {
		b.WriteString("\n\n" + g.Title + ":\n\n    " + strings.Join(setting.Lines(g.Settings), "\n    "))
	}
	return b.String()
}

func (c *serverCmd) Run(ctx context.Context, s *session) error {
	env, err := c.environment(s)
	if err != nil {
		return err
	}
	settings, warnings, err := config.Load(env.Env)
	logger := serverLogger(s, settings)
	for _, w := range append(env.Warnings, warnings...) {
		logger.Warn(w)
	}
	if err != nil {
		return err
	}
	tuneRuntime(env.Env, settings)
	srv, err := server.New(settings, logger)
	if err != nil {
		return err
	}
	if !s.root.Quiet {
		greet(s.Stderr, s.Name, settings, srv)
	}
	return srv.Serve(ctx)
}

// environment reads the settings. What a file contributes is always printed: in a
// folder from elsewhere, it is not what the user set.
func (c *serverCmd) environment(s *session) (config.Environment, error) {
	file := defaultEnvFile
	if c.EnvFile != nil {
		file = *c.EnvFile
	}
	env, err := config.Environ(s.Environ, file, c.EnvFile != nil)
	if err != nil {
		return env, &usage{err: err, hint: hint(err)}
	}
	if len(env.Taken) > 0 {
		fmt.Fprintf(s.Stderr, "settings from %s: %s\n", oneLine(env.File), oneLine(strings.Join(env.Taken, ", ")))
	}
	return env, nil
}

// tuneRuntime configures the Go runtime for the workload, unless the runtime's own
// environment variables are set.
func tuneRuntime(env map[string]string, c config.Config) {
	if env["GOMAXPROCS"] == "" {
		// Under load one thread waits for the disk most of the time: keep as
		// many running as there are processors.
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
	if env["GOGC"] == "" {
		// The heap is small and allocation rates are high: collecting at twice
		// the live heap would run many times per second for no gain. A quiet
		// server still returns its garbage, see server.Serve.
		debug.SetGCPercent(300)
	}
	if env["GOMEMLIMIT"] == "" {
		// Capacity for the batch budget, the largest bodies in flight and some
		// thousand readers: beyond that, collect garbage rather than let the
		// heap grow as much again.
		debug.SetMemoryLimit(2*c.Memory + 128<<20)
	}
}

func serverLogger(s *session, c config.Config) *slog.Logger {
	level := slog.LevelInfo
	switch {
	case c.Debug, c.Trace, s.root.verbose():
		level = slog.LevelDebug
	case s.root.Quiet:
		level = slog.LevelWarn
	}
	return slog.New(slog.NewTextHandler(s.Stderr, &slog.HandlerOptions{Level: level}))
}

// authentication describes who may use the server.
func authentication(c config.Config) string {
	var by []string
	if c.Auth.Secret != "" {
		by = append(by, "tokens signed with the secret")
	}
	if len(c.Auth.JWTKeys) > 0 {
		by = append(by, fmt.Sprintf("JSON Web Tokens verified with %s", strings.Join(c.Auth.JWTKeys, ", ")))
	}
	if c.Auth.OIDC.Issuer != "" {
		by = append(by, "identity tokens issued by "+c.Auth.OIDC.Issuer)
	}
	if c.Auth.GlobalToken != "" {
		by = append(by, "the global token")
	}
	switch {
	case c.AuthOn():
		return "on: " + strings.Join(by, "; ")
	case c.Loopback():
		return "off; only this machine can reach the server"
	}
	return "off (LOG_SERVICE_DISABLE_AUTH); anyone who can reach the server may read and write every log"
}

// greet prints the addresses of the new server, and commands to try.
func greet(w io.Writer, program string, c config.Config, srv *server.Server) {
	fmt.Fprintf(w, "log-service listens on %s\n", srv.URL())
	kept := ""
	if c.Stream == config.StreamMemory {
		kept = " (live logs are in memory only and are lost when the server stops)"
	}
	if u := srv.GRPCURL(); u != "" {
		fmt.Fprintf(w, "live logs over gRPC: %s\n", u)
	}
	fmt.Fprintf(w, "data: %s%s\n", srv.Folder(), kept)
	if a := srv.AdminAddr(); a != nil {
		fmt.Fprintf(w, "metrics and profiles: http://%s/metrics\n", a)
	}
	fmt.Fprintln(w, "authentication: "+authentication(c))
	flag := ""
	if srv.URL() != "http://127.0.0.1:8079" && srv.URL() != "http://localhost:8079" {
		flag = " --server " + srv.URL()
	}
	token := ""
	if c.AuthOn() && c.Auth.Secret != "" {
		token = "  export LOG_SERVICE_TOKEN=\"$(" + program + " token create --verbs admin)\"   # set LOG_SERVICE_SECRET there too\n"
	}
	fmt.Fprintf(w, `try, in another terminal:
%[3]s  %[1]s cistream open 1 2 3 4%[2]s
  %[1]s cistream push 1 2 3 4 "echo hello"%[2]s
  %[1]s cistream tail 1 2 3 4%[2]s
`, program, flag, token)
}
