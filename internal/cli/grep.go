package cli

import "regexp"

// grepFlags select lines by what is seen of them.
type grepFlags struct {
	Grep        string `placeholder:"RE" help:"Print only lines whose text matches (RE2), with -v those whose does not; the status is 1 if there are none."`
	IgnoreCase  bool   `short:"i" help:"Let --grep ignore the case."`
	BeforeMatch int    `short:"B" name:"before-context" placeholder:"N" help:"Also print N lines before each match."`
	AfterMatch  int    `short:"A" name:"after-context" placeholder:"N" help:"Also print N lines after each match."`
	Around      int    `short:"C" name:"around" placeholder:"N" help:"Also print N lines before and after each match."`
}

// maxContext limits the lines that are held before a match.
const maxContext = 10_000

// grep selects lines. Its zero value selects all.
type grep struct {
	re            *regexp.Regexp // nil: all lines
	invert        bool
	before, after int

	matched bool // a line was selected
	held    []*entry
	more    int  // lines to print after the last match
	skipped bool // lines since the last one that was printed
}

func (f *grepFlags) selection(invert bool) (g grep, err error) {
	g = grep{invert: invert, before: max(f.BeforeMatch, f.Around), after: max(f.AfterMatch, f.Around)}
	switch {
	case f.BeforeMatch < 0 || f.AfterMatch < 0 || f.Around < 0 || g.before > maxContext:
		return g, usagef("lines of context: want 0 to %d", maxContext)
	case f.Grep == "" && (f.IgnoreCase || g.before > 0 || g.after > 0):
		return g, usagef("-i, -A, -B and -C need --grep")
	case f.Grep == "":
		return g, nil
	}
	// A line may have several rows.
	flags := "(?m)"
	if f.IgnoreCase {
		flags = "(?mi)"
	}
	if g.re, err = regexp.Compile(flags + f.Grep); err != nil {
		if _, plain := regexp.Compile(f.Grep); plain != nil {
			err = plain // without the flags
		}
		return g, &usage{err: err}
	}
	return g, nil
}

// add calls print with the lines that are selected now.
func (g *grep) add(e *entry, print func(*entry) error) error {
	if g.re == nil {
		return print(e)
	}
	if g.re.Match(e.seen()) != g.invert {
		e.matches = !g.invert
		g.matched, g.more = true, g.after
		for _, held := range g.held {
			if err := g.print(held, print); err != nil {
				return err
			}
		}
		g.held = g.held[:0]
		return g.print(e, print)
	}
	switch {
	case g.more > 0:
		g.more--
		return g.print(e, print)
	case g.before == 0:
		g.skipped = true
		return nil
	case len(g.held) == g.before:
		g.held = append(g.held[:0], g.held[1:]...)
		g.skipped = true
	}
	g.held = append(g.held, e.clone())
	return nil
}

// print prints a line, which is separated from the one before it if there are
// others between them.
func (g *grep) print(e *entry, print func(*entry) error) error {
	e.separate = g.skipped
	g.skipped = false
	return print(e)
}

// highlight appends text with its matches in bold red.
func (g *grep) highlight(dst, text []byte) []byte {
	at := 0
	for _, m := range g.re.FindAllIndex(text, -1) {
		if m[0] == m[1] {
			continue
		}
		dst = append(append(dst, text[at:m[0]]...), "\x1b[1;31m"...)
		dst = append(append(dst, text[m[0]:m[1]]...), "\x1b[0m"...)
		at = m[1]
	}
	return append(dst, text[at:]...)
}
