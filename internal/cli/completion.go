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
	return "Commands, flags, files and the keys of live logs are completed; for keys the server is asked.\n\n" + example(
		"source <(log-service completion bash)",
		"source <(log-service completion zsh)",
		"log-service completion fish | source")
}

func (c *completionCmd) Run(s *session) error {
	script := bashCompletion
	switch c.Shell {
	case "fish":
		return fishCompletion(s.Stdout, s.model.Node)
	case "zsh":
		script = zshCompletion
	}
	_, err := io.WriteString(s.Stdout, script)
	return err
}

// bashCompletion leaves everything but the names of files to the program.
const bashCompletion = `_log_service() {
  local IFS=$'\n' word="${COMP_WORDS[COMP_CWORD]}"
  COMPREPLY=($("${COMP_WORDS[0]}" complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
  if [ "${COMPREPLY[*]}" = :files ]; then
    compopt -o filenames 2>/dev/null
    COMPREPLY=($(compgen -f -- "$word"))
  fi
}
complete -F _log_service log-service log-server
`

// zshCompletion does the same in zsh. compinit without -i would ask a question about
// folders that others can write.
const zshCompletion = `# zsh's own completion: bashcompinit cannot complete words with a colon.
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i; }
_log_service() {
  local -a offers
  offers=("${(@f)$("${words[1]}" complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ "${offers[*]}" == :files ]]; then
    _files
  elif [[ -n "${offers[*]}" ]]; then
    compadd -a offers
  fi
}
compdef _log_service log-service log-server
`

// fishCompletion lists commands and flags, which fish shows with their meanings, and
// leaves arguments and values to the program.
func fishCompletion(w io.Writer, root *kong.Node) error {
	var b strings.Builder
	b.WriteString(`function __log_service_words
  set -l words (commandline -opc) (commandline -ct)
  for offer in ($words[1] complete -- $words[2..-1] 2>/dev/null)
    if test "$offer" = :files
      __fish_complete_path (commandline -ct)
    else
      echo $offer
    end
  end
end
`)
	words := map[string][]string{}
	completions(root, nil, words)
	for _, command := range slices.Sorted(maps.Keys(words)) {
		condition := "__fish_use_subcommand"
		if command != "" {
			var seen []string
			for part := range strings.SplitSeq(command, " ") {
				seen = append(seen, "__fish_seen_subcommand_from "+part)
			}
			condition = strings.Join(seen, "; and ")
		}
		subcommands := slices.DeleteFunc(slices.Clone(words[command]), func(w string) bool { return strings.HasPrefix(w, "--") })
		for _, word := range words[command] {
			kind, condition := "-f -a "+word, condition
			if flag, ok := strings.CutPrefix(word, "--"); ok {
				kind = "-l " + flag
			} else if command != "" {
				condition += "; and not __fish_seen_subcommand_from " + strings.Join(subcommands, " ")
			}
			for _, program := range []string{"log-service", "log-server"} {
				fmt.Fprintf(&b, "complete -c %s -n '%s' %s\n", program, condition, kind)
			}
		}
	}
	for _, program := range []string{"log-service", "log-server"} {
		fmt.Fprintf(&b, "complete -c %s -f -a '(__log_service_words)'\n", program)
	}
	_, err := io.WriteString(w, b.String())
	return err
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
