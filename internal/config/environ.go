package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/harness/log-service/internal/setting"
)

// Environment is the variables for Load, and what an environment file contributed.
type Environment struct {
	Env      setting.Env
	File     string   // the file that was read, an absolute path; empty if none was
	Taken    []string // names of the variables from that file, sorted
	Warnings []string // what was not used, and why
}

// Environ returns the environment for Load: the variables of the .env file,
// overridden by environ, which has the form of os.Environ. If file is empty, no
// file is read. named means that the user gave the file, so it must exist and is
// trusted like the environment. Any other file is only one that happened to be in
// the working directory: it cannot change what the environment says about
// authentication, and gets no credentials that are not its own. The environment of
// the process does not change.
func Environ(environ []string, file string, named bool) (Environment, error) {
	own := setting.Env{}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			own[name] = value
		}
	}
	if file == "" {
		return Environment{Env: own}, nil
	}
	if st, err := os.Stat(file); !named && (errors.Is(err, fs.ErrNotExist) || err == nil && !st.Mode().IsRegular()) {
		return Environment{Env: own}, nil // a folder of this name is common, too, and a pipe would block
	}
	read, err := readEnvFile(file)
	if err != nil {
		return Environment{}, fmt.Errorf("environment file %s: %w", file, err)
	}
	if abs, err := filepath.Abs(file); err == nil {
		file = abs
	}
	m := merge{own: own, read: read, named: named, out: Environment{Env: maps.Clone(own), File: file}}
	return m.merged()
}

// merge merges the variables of a file into those of the process.
type merge struct {
	own, read setting.Env
	named     bool
	out       Environment
}

func (m *merge) merged() (Environment, error) {
	maps.DeleteFunc(m.read, func(name, _ string) bool { return !ofServer(name) })
	if err := m.authentication(); err != nil {
		return Environment{}, err
	}
	if !m.named {
		for _, p := range peers() {
			if err := m.credentials(p); err != nil {
				return Environment{}, err
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.read)) {
		if _, set := m.out.Env[name]; !set {
			m.out.Env[name] = m.read[name]
			m.out.Taken = append(m.out.Taken, name)
		}
	}
	return m.out, nil
}

// ofServer reports whether the server reads a variable. Files of this name often
// hold variables of other programs.
func ofServer(name string) bool {
	return strings.HasPrefix(name, setting.Prefix) || strings.HasPrefix(name, "AWS_") ||
		name == "GOMAXPROCS" || name == "GOGC" || name == "GOMEMLIMIT"
}

// authentication takes the settings of authentication from one source as a whole:
// half of each would be a configuration that nobody wrote.
func (m *merge) authentication() error {
	var all []string
	c := new(Config)
	for _, s := range append(c.Auth.Settings(), c.disableAuth()) {
		all = append(all, prefixed(s.Names...)...)
	}
	i := slices.IndexFunc(all, func(name string) bool { return m.own[name] != "" })
	if i < 0 {
		return nil
	}
	for _, name := range all {
		if m.read[name] == "" || m.own[name] != "" {
			continue
		}
		if m.named {
			return &setting.Error{Name: name, Rule: "it is in " + m.out.File + ", and " + all[i] + " is in the environment",
				Hint: "put all settings of authentication in one of them"}
		}
		delete(m.read, name)
		m.out.Warnings = append(m.out.Warnings, name+" in "+m.out.File+" has no effect: the environment configures authentication ("+all[i]+")")
	}
	return nil
}

// peer is a server that this one sends credentials to.
type peer struct {
	endpoints   []string
	credentials []string
	required    [][]string // one of each must be there
}

func peers() []peer {
	return []peer{
		{
			endpoints: prefixed("S3_ENDPOINT", "MINIO_ENDPOINT", "S3_LINK_ENDPOINT"),
			credentials: append(prefixed("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY"),
				"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
			required: [][]string{
				{setting.Prefix + "S3_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"},
				{setting.Prefix + "S3_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY"},
			},
		},
		{
			endpoints:   prefixed("REDIS_ENDPOINT", "REDIS_SENTINEL_ADDRS"),
			credentials: prefixed("REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_SENTINEL_USERNAME", "REDIS_SENTINEL_PASSWORD"),
		},
	}
}

// credentials takes those of p from the file if only the file says where p is:
// the user's own must not go to an address that somebody else may have chosen.
func (m *merge) credentials(p peer) error {
	i := slices.IndexFunc(p.endpoints, func(name string) bool { return m.read[name] != "" && m.own[name] == "" })
	if i < 0 {
		return nil
	}
	for _, names := range p.required {
		if !slices.ContainsFunc(names, func(name string) bool { return m.read[name] != "" }) {
			return &setting.Error{Name: p.endpoints[i], Rule: "only " + m.out.File + " names this endpoint, and its credentials are not in the same file",
				Hint: "put them there; or set the endpoint in the environment; or, if you trust the file, name it with --env-file"}
		}
	}
	for _, name := range p.credentials {
		if m.own[name] != "" {
			m.out.Warnings = append(m.out.Warnings, name+" of the environment is not used: only "+m.out.File+" names the endpoint ("+p.endpoints[i]+")")
		}
		delete(m.out.Env, name)
	}
	return nil
}

func prefixed(names ...string) (all []string) {
	for _, n := range names {
		all = append(all, setting.Prefix+n)
	}
	return all
}
