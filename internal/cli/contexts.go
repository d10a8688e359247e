package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	logservice "github.com/harness/log-service"
)

// place is what a named context holds: which server, and as whom.
type place struct {
	Server  string `json:"server,omitempty"`
	Account string `json:"account,omitempty"`
	Token   string `json:"token,omitempty"`
}

// contexts is the file of named contexts. It is in the user's configuration folder
// and never in the working directory, where it could be somebody else's.
type contexts struct {
	Current string           `json:"current,omitempty"`
	Places  map[string]place `json:"contexts"`

	path string
}

// maxContexts limits the size of the file: more than thousands of contexts.
const maxContexts = 4 << 20

// contextsPath returns where the file is.
func contextsPath() (string, error) {
	dir, err := os.UserConfigDir()
	switch {
	case err != nil:
		return "", fmt.Errorf("the user has no configuration folder: %w", err)
	case !filepath.IsAbs(dir):
		return "", fmt.Errorf("the user's configuration folder %s is not an absolute path", dir)
	}
	return filepath.Join(dir, programName, "contexts.json"), nil
}

// readContexts returns an empty list if there is no file, or no place for one.
func readContexts() (contexts, error) {
	c := contexts{Places: map[string]place{}}
	var err error
	if c.path, err = contextsPath(); err != nil {
		return c, nil //nolint:nilerr // such a user has none; writing reports it
	}
	f, err := os.Open(c.path)
	if errors.Is(err, fs.ErrNotExist) {
		return c, nil
	}
	if err != nil {
		return c, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxContexts))
	if err == nil {
		err = json.Unmarshal(data, &c)
	}
	if err != nil {
		return c, withHint(fmt.Errorf("contexts in %s cannot be read: %w", c.path, err), "mend the file, or remove it and add the contexts again")
	}
	if c.Places == nil {
		c.Places = map[string]place{}
	}
	return c, nil
}

// write replaces the file, which only its owner may read.
func (c contexts) write() error {
	path, err := contextsPath()
	if err != nil {
		return withHint(err, "set HOME or XDG_CONFIG_HOME")
	}
	data, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".contexts-*") // with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(append(data, '\n'))
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// find returns a context. Its error is for a user who named one that is not there.
func (c contexts) find(name string) (place, error) {
	p, ok := c.Places[name]
	if !ok {
		known := "there are none: log-service context add NAME --server URL"
		if len(c.Places) > 0 {
			known = "there are: " + strings.Join(slices.Sorted(maps.Keys(c.Places)), ", ")
		}
		return p, withHint(fmt.Errorf("no context is named %q: %w", name, errNoContext), "%s", known)
	}
	return p, nil
}

var errNoContext = errors.New("not found")

// exposed reports that others may read the file.
func (c contexts) exposed() bool {
	st, err := os.Stat(c.path)
	return err == nil && runtime.GOOS != "windows" && st.Mode().Perm()&0o077 != 0
}

// settle completes the flags that neither the command line nor the environment
// gave: from the context, and then from the defaults.
func (s *session) settle() error {
	g := &s.root.globals
	var p place
	c, err := readContexts()
	name := g.Context
	if name == "" {
		name = c.Current
	}
	switch {
	case err != nil && (g.Context != "" || g.ServerURL == ""):
		return err
	case name != "" && err == nil:
		if p, err = c.find(name); err != nil {
			return &usage{err: err, hint: hint(err)}
		}
		if p.Token != "" && c.exposed() {
			s.note("others can read the tokens in %s: chmod 600 %s", c.path, c.path)
		}
	}
	if g.ServerURL != "" && g.Token == "" && p.Token != "" && hostOf(g.ServerURL) != hostOf(p.server()) {
		// The token was given for one server, which need not be this one.
		s.note("the token of context %s is for %s, and is not sent to %s", name, hostOf(p.server()), hostOf(g.ServerURL))
		p.Token = ""
	}
	for _, f := range []struct {
		flag         *string
		other, deflt string
	}{{&g.ServerURL, p.Server, logservice.DefaultServer}, {&g.Account, p.Account, logservice.DefaultAccount}, {&g.Token, p.Token, ""}} {
		if *f.flag == "" {
			*f.flag = f.other
		}
		if *f.flag == "" {
			*f.flag = f.deflt
		}
	}
	return nil
}

func (p place) server() string {
	if p.Server == "" {
		return logservice.DefaultServer
	}
	return p.Server
}

// hostOf returns the host of a server's address, without port and credentials.
func hostOf(server string) string {
	if u, err := url.Parse(server); err == nil {
		return u.Hostname()
	}
	return ""
}

// note prints something that is no error, for people.
func (s *session) note(format string, args ...any) {
	if !s.root.Quiet {
		fmt.Fprintf(s.Stderr, "note: %s\n", oneLine(fmt.Sprintf(format, args...)))
	}
}
