package setting

import (
	"fmt"
	"regexp"
	"strings"
)

// Table returns the settings as a table in Markdown.
func Table(all []*Setting) string {
	var b strings.Builder
	b.WriteString("| variable | default | meaning |\n|---|---|---|\n")
	for _, s := range all {
		preset := s.Absence
		if s.Fallback != "" {
			preset = "`" + s.Fallback + "`"
		}
		fmt.Fprintf(&b, "| `%s%s` | %s | %s |\n", Prefix, s.Names[0], preset, s.Meaning)
	}
	return b.String()
}

var (
	markup    = regexp.MustCompile("`|\\[([^]]*)\\]\\([^)]*\\)") // code and links
	reference = regexp.MustCompile(`(: see|\. See|; see) .*`)
)

// Lines returns the settings as plain text, two lines for each: the variable with
// its default, and the first sentence of its meaning.
func Lines(all []*Setting) (lines []string) {
	for _, s := range all {
		name := Prefix + s.Names[0]
		if s.Fallback != "" && s.Fallback != "false" {
			name += "=" + s.Fallback
		}
		first, _, _ := strings.Cut(s.Meaning, ". ")
		first = markup.ReplaceAllString(reference.ReplaceAllString(first, ""), "$1")
		lines = append(lines, name, "    "+first)
	}
	return lines
}
