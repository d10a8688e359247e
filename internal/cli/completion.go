package cli

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/alecthomas/kong"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

func (*completionCmd) Help() string {
	return example(
		"source <(log-service completion bash)",
		"source <(log-service completion zsh)",
		"log-service completion fish | source")
}

func (c *completionCmd) Run(s *session) error {
	words := map[string][]string{}
	completions(s.model.Node, nil, words)
	switch c.Shell {
	case "fish":
		return fishCompletion(s.Stdout, words)
	case "zsh":
		if _, err := io.WriteString(s.Stdout, "autoload -U +X bashcompinit && bashcompinit\n"); err != nil {
			return err
		}
	}
	return bashCompletion(s.Stdout, words)
}

// completions collects what may follow each command: subcommands, then flags.
func completions(n *kong.Node, path []string, words map[string][]string) {
	key := strings.Join(path, " ")
	for _, child := range n.Children {
		if !child.Hidden {
			words[key] = append(words[key], child.Name)
			completions(child, append(slices.Clone(path), child.Name), words)
		}
	}
	for _, group := range n.AllFlags(true) {
		for _, f := range group {
			words[key] = append(words[key], "--"+f.Name)
		}
	}
}

// bashCompletion writes a shell function that finds the command in the words typed
// so far and completes what may follow it.
func bashCompletion(w io.Writer, words map[string][]string) error {
	var b strings.Builder
	b.WriteString(`_log_service() {
  local word command="" i
  for ((i = 1; i < COMP_CWORD; i++)); do
    word="${COMP_WORDS[i]}"
    case "${command:+$command }$word" in
`)
	for _, command := range slices.Sorted(maps.Keys(words)) {
		if command != "" {
			fmt.Fprintf(&b, "      %q) command=%q ;;\n", command, command)
		}
	}
	b.WriteString("    esac\n  done\n  local offers=\"\"\n  case \"$command\" in\n")
	for _, command := range slices.Sorted(maps.Keys(words)) {
		fmt.Fprintf(&b, "    %q) offers=%q ;;\n", command, strings.Join(words[command], " "))
	}
	b.WriteString(`  esac
  COMPREPLY=($(compgen -W "$offers" -- "${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _log_service log-service log-server
`)
	_, err := io.WriteString(w, b.String())
	return err
}

func fishCompletion(w io.Writer, words map[string][]string) error {
	var b strings.Builder
	for _, command := range slices.Sorted(maps.Keys(words)) {
		condition := "__fish_use_subcommand"
		if command != "" {
			var seen []string
			for part := range strings.SplitSeq(command, " ") {
				seen = append(seen, "__fish_seen_subcommand_from "+part)
			}
			condition = strings.Join(seen, "; and ")
		}
		for _, word := range words[command] {
			kind := "-f -a " + word
			if flag, ok := strings.CutPrefix(word, "--"); ok {
				kind = "-l " + flag
			}
			for _, program := range []string{"log-service", "log-server"} {
				fmt.Fprintf(&b, "complete -c %s -n '%s' %s\n", program, condition, kind)
			}
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
