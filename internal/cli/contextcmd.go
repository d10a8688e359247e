package cli

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	"github.com/harness/log-service/client/rpc"
)

type contextCmd struct {
	Add contextAdd `cmd:"" help:"Store --server, --account and --token under a name."`
	Use contextUse `cmd:"" help:"Make a context the one that commands use."`
	Ls  contextLs  `cmd:"" help:"List the contexts."`
	Rm  contextRm  `cmd:"" help:"Remove a context."`

	groupHelp
}

func (*contextCmd) Help() string {
	return "A context is a server, an account and a token under a name, in a file of the user's configuration folder that only the user can read. " +
		"Flags and environment variables take precedence.\n\n" +
		example("log-service context add prod --server https://logs.example.com --token -", "log-service context use prod", "log-service --context prod cistream info")
}

type contextAdd struct {
	Name string `arg:"" help:"Name of the context."`
}

func (*contextAdd) Help() string {
	return "Give the token in LOG_SERVICE_TOKEN, or as - to read it from standard input: arguments appear in process lists.\n\n" +
		example("log-service context add prod --server https://logs.example.com --token -")
}

// contextName keeps names usable as words of a shell.
var contextName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (c *contextAdd) Run(s *session) error {
	if !contextName.MatchString(c.Name) {
		return usagef("context name %q: use up to 64 letters, digits, dots, dashes and underscores", oneLine(c.Name))
	}
	g := s.root.globals
	p := place{Server: g.ServerURL, Account: g.Account, Token: g.Token}
	if p.Token == "-" {
		var err error
		if p.Token, err = firstLine(s.Stdin); err != nil {
			return err
		}
	}
	if strings.ContainsFunc(p.Token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return usagef("the token contains a space or a character that no token has")
	}
	if _, err := client.New(p.Server, rpc.Transport()); err != nil {
		return &usage{err: err}
	}
	if p.Account != "" {
		if _, err := logservice.ParseAccount(p.Account); err != nil {
			return &usage{err: err}
		}
	}
	all, err := readContexts()
	if err != nil {
		return err
	}
	if _, ok := all.Places[c.Name]; ok {
		return withHint(logservice.Errorf(logservice.ErrConflict, "there is a context %s already", c.Name), "remove it first: %s context rm %s", s.Name, c.Name)
	}
	all.Places[c.Name] = p
	if err := all.write(); err != nil {
		return err
	}
	if all.Current != c.Name {
		s.note("use it with: %[1]s context use %[2]s, or for one command: %[1]s --context %[2]s", s.Name, c.Name)
	}
	return nil
}

// firstLine reads a token from standard input.
func firstLine(r io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(r, 64<<10)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimSpace(line), nil
}

type contextUse struct {
	Name string `arg:"" optional:"" help:"Name of the context; without one, none is used."`
}

func (*contextUse) Help() string {
	return example("log-service context use prod", "log-service context use")
}

func (c *contextUse) Run(*session) error {
	all, err := readContexts()
	if err != nil {
		return err
	}
	if c.Name != "" {
		if _, err := all.find(c.Name); err != nil {
			return err
		}
	}
	all.Current = c.Name
	return all.write()
}

type contextRm struct {
	Name string `arg:"" help:"Name of the context."`
}

func (*contextRm) Help() string { return example("log-service context rm prod") }

func (c *contextRm) Run(*session) error {
	all, err := readContexts()
	if err != nil {
		return err
	}
	if _, err := all.find(c.Name); err != nil {
		return err
	}
	delete(all.Places, c.Name)
	if all.Current == c.Name {
		all.Current = ""
	}
	return all.write()
}

type contextLs struct{ outputFlag }

func (*contextLs) Help() string {
	return "Tokens are not printed.\n\n" + example("log-service context ls", "log-service context ls -o json")
}

func (c *contextLs) Run(s *session) error {
	all, err := readContexts()
	if err != nil {
		return err
	}
	type row struct {
		Name    string `json:"name"`
		Server  string `json:"server"`
		Account string `json:"account"`
		Token   bool   `json:"token"` // whether there is one
		Current bool   `json:"current"`
	}
	current := all.Current
	if s.root.Context != "" {
		current = s.root.Context
	}
	rows := []row{}
	for _, name := range slices.Sorted(maps.Keys(all.Places)) {
		p := all.Places[name]
		account := p.Account
		if account == "" {
			account = logservice.DefaultAccount
		}
		rows = append(rows, row{name, p.server(), account, p.Token != "", name == current})
	}
	if c.Output == "json" {
		return json.NewEncoder(s.Stdout).Encode(rows)
	}
	w := tabwriter.NewWriter(s.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "CURRENT\tNAME\tSERVER\tACCOUNT\tTOKEN")
	for _, r := range rows {
		mark, token := "", "no"
		if r.Current {
			mark = "*"
		}
		if r.Token {
			token = "yes"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", mark, oneLine(r.Name), oneLine(r.Server), oneLine(r.Account), token)
	}
	return w.Flush()
}
