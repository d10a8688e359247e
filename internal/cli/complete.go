package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
)

const (
	// completeTime limits how long a key press may wait for a server.
	completeTime = time.Second
	// maxOffers is more than anybody reads.
	maxOffers = 200
	// offerFiles asks the shell for the names of files.
	offerFiles = ":files"
)

// completeCmd prints what may be the last of the words of a command line, for the
// scripts of completionCmd. It is silent about every failure.
type completeCmd struct {
	Words []string `arg:"" optional:"" help:"Words of the command line after the program; the last one is to be completed."`
}

func (*completeCmd) Help() string { return example("log-service complete -- cistream ta") }

func (c *completeCmd) Run(ctx context.Context, s *session) error {
	words, split := joined(c.Words)
	cl := commandLine{node: s.model.Node, flags: map[string]string{}}
	cl.read(words[:len(words)-1])
	cl.cur = words[len(words)-1]
	for _, offer := range slices.Compact(slices.Sorted(slices.Values(cl.offers(ctx, s)))) {
		rest, ok := strings.CutPrefix(offer, split)
		if offer != offerFiles && (!ok || !strings.HasPrefix(offer, cl.cur)) {
			continue
		}
		if offer == offerFiles {
			rest = offer
		}
		if _, err := fmt.Fprintln(s.Stdout, rest); err != nil {
			return err
		}
	}
	return nil
}

// joined undoes what bash does to words: it splits them at : and =. split is the part
// of the last word that bash takes for another word, which offers must not repeat.
func joined(words []string) (all []string, split string) {
	for i, w := range words {
		separator := isSeparator(w)
		after := i > 0 && isSeparator(words[i-1])
		if i > 0 && (separator || after) {
			last := len(all) - 1
			split = all[last]
			if separator {
				split += w
			}
			all[last] += w
			continue
		}
		all, split = append(all, w), ""
	}
	if len(all) == 0 {
		all = []string{""}
	}
	return all, split
}

func isSeparator(w string) bool { return w != "" && strings.Trim(w, ":=") == "" }

// commandLine is what the words before the last one mean.
type commandLine struct {
	node       *kong.Node        // the command, or the group of commands
	positional []string          // its arguments
	flags      map[string]string // values by name
	value      *kong.Flag        // the last word is the value of this flag
	plain      bool              // after --
	cur        string            // the last word
}

func (c *commandLine) read(words []string) {
	for _, w := range words {
		switch {
		case c.value != nil:
			c.flags[c.value.Name] = w
			c.value = nil
		case c.plain || !strings.HasPrefix(w, "-") || w == "-":
			c.argument(w)
		case w == "--":
			c.plain = true
		default:
			name, value, given := strings.Cut(w, "=")
			f := c.flag(name)
			switch {
			case f == nil:
			case given:
				c.flags[f.Name] = value
			case !f.IsBool():
				c.value = f
			}
		}
	}
}

func (c *commandLine) argument(w string) {
	for _, child := range c.node.Children {
		if child.Name == w && len(c.positional) == 0 {
			c.node = child
			return
		}
	}
	c.positional = append(c.positional, w)
}

// flag finds a flag by its name or letter with dashes.
func (c *commandLine) flag(name string) *kong.Flag {
	for _, f := range c.allFlags() {
		if "--"+f.Name == name || f.Short != 0 && "-"+string(f.Short) == name || slices.Contains(f.Aliases, strings.TrimPrefix(name, "--")) {
			return f
		}
	}
	return nil
}

// allFlags returns the flags of the command, and those of all.
func (c *commandLine) allFlags() (all []*kong.Flag) {
	for _, group := range c.node.AllFlags(false) {
		all = append(all, group...)
	}
	return all
}

// offers returns candidates for the last word. They may have another beginning.
func (c *commandLine) offers(ctx context.Context, s *session) []string {
	name, value, assigned := strings.Cut(c.cur, "=")
	switch {
	case c.value != nil:
		return c.values(ctx, s, c.value, c.cur)
	case c.plain:
	case strings.HasPrefix(c.cur, "-") && assigned:
		f := c.flag(name)
		if f == nil {
			return nil
		}
		var all []string
		for _, v := range c.values(ctx, s, f, value) {
			if v == offerFiles {
				return nil // a shell has no means for a part of a word
			}
			all = append(all, name+"="+v)
		}
		return all
	case strings.HasPrefix(c.cur, "-"):
		return c.flagNames()
	case len(c.node.Children) > 0 && len(c.positional) == 0:
		return commandNames(c.node)
	}
	return c.arguments(ctx, s)
}

func commandNames(n *kong.Node) (all []string) {
	for _, child := range n.Children {
		if !child.Hidden {
			all = append(all, child.Name)
		}
	}
	return all
}

func (c *commandLine) flagNames() (all []string) {
	for _, f := range c.allFlags() {
		if f.Hidden {
			continue
		}
		for _, name := range append([]string{f.Name}, f.Aliases...) {
			all = append(all, "--"+name)
		}
		if f.Tag.Negatable != "" {
			all = append(all, "--no-"+f.Name)
		}
	}
	return all
}

// values returns the values that a flag may have.
func (c *commandLine) values(ctx context.Context, s *session, f *kong.Flag, cur string) []string {
	switch {
	case f.Enum != "":
		return f.EnumSlice()
	case f.PlaceHolder == "FILE":
		return []string{offerFiles}
	case f.PlaceHolder == "KEY":
		return c.keys(ctx, s, cur)
	case f.Name == "context":
		return contextNames()
	}
	return nil
}

// arguments returns candidates for the argument at the end of the line.
func (c *commandLine) arguments(ctx context.Context, s *session) []string {
	n := len(c.positional)
	all := c.node.Positional
	if len(all) == 0 {
		return nil
	}
	switch arg := all[min(n, len(all)-1)]; {
	case arg.Name == "project" || arg.Name == "build" || arg.Name == "stage" || arg.Name == "step" || arg.Name == "key":
		return c.keyWords(ctx, s)
	case arg.Name == "path" && n < len(all):
		return []string{offerFiles}
	case arg.Enum != "":
		return arg.EnumSlice()
	case arg.Name == "name" && c.node.Parent.Name == "context":
		return contextNames()
	case arg.Name == "command":
		return c.commandsAfter()
	}
	return nil
}

// commandsAfter offers commands to the help command.
func (c *commandLine) commandsAfter() []string {
	n := c.node.Parent
	for _, w := range c.positional {
		i := slices.IndexFunc(n.Children, func(child *kong.Node) bool { return child.Name == w })
		if i < 0 {
			return nil
		}
		n = n.Children[i]
	}
	return commandNames(n)
}

// keyWords offers whole keys as one word, and after a first word without a slash,
// what can be the next part of a key.
func (c *commandLine) keyWords(ctx context.Context, s *session) []string {
	parts := c.positional
	if len(c.node.Positional) > 0 && c.node.Positional[0].Name == "accountID" { // account, token, key
		if len(parts) != 2 {
			return nil
		}
		c.flags["account"], c.flags["token"] = parts[0], parts[1]
		return c.keys(ctx, s, c.cur)
	}
	switch {
	case len(parts) == 0:
		return c.keys(ctx, s, c.cur)
	case strings.Contains(parts[0], "/"):
		if takesFile(c.node) && len(parts) == 1 {
			return []string{offerFiles}
		}
		return nil
	}
	prefix := strings.Join(parts, "/") + "/"
	next := map[string]bool{}
	for _, key := range c.keys(ctx, s, prefix+c.cur) {
		part, _, _ := strings.Cut(strings.TrimPrefix(key, prefix), "/")
		next[part] = true
	}
	return slices.Sorted(maps.Keys(next))
}

func takesFile(n *kong.Node) bool {
	return slices.ContainsFunc(n.Positional, func(p *kong.Positional) bool { return p.Name == "path" })
}

// keys asks the server for live logs whose keys begin with prefix.
func (c *commandLine) keys(ctx context.Context, s *session, prefix string) []string {
	ctx, cancel := context.WithTimeout(ctx, completeTime)
	defer cancel()
	g := &s.root.globals
	for name, field := range map[string]*string{
		"server": &g.ServerURL, "account": &g.Account, "token": &g.Token, "context": &g.Context,
		"ca-file": &g.CAFile, "client-cert": &g.Cert, "client-key": &g.Key,
	} {
		if v, ok := c.flags[name]; ok {
			*field = v
		}
	}
	g.Quiet = true
	if s.settle() != nil {
		return nil
	}
	conn, err := s.client(target{account: g.Account, token: g.Token}, client.Retry{})
	if err != nil {
		return nil
	}
	var opts []client.InfoOption
	if i := strings.LastIndexByte(prefix, '/'); i > 0 {
		under, err := logservice.ParseKey(prefix[:i])
		if err != nil {
			return nil
		}
		opts = append(opts, client.Under(under))
	}
	infos, err := conn.Info(ctx, opts...)
	if err != nil {
		return nil
	}
	var all []string
	for _, i := range infos {
		// A shell would run what others put into the name of a log.
		if k := string(i.Key); strings.HasPrefix(k, prefix) && isHarmless(k) {
			all = append(all, k)
		}
	}
	slices.Sort(all)
	return all[:min(len(all), maxOffers)]
}

// isHarmless reports whether a word has only characters that mean nothing to a
// shell.
func isHarmless(word string) bool {
	return word != "" && word[0] != '-' && !strings.ContainsFunc(word, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("/:._-+@%,", r)
	})
}

func contextNames() []string {
	all, err := readContexts()
	if err != nil {
		return nil
	}
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all.Places)), func(name string) bool { return !isHarmless(name) })
}
