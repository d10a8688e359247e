package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/harness/log-service/internal/lines"
	"github.com/harness/log-service/internal/screen"
)

// terminal returns a printer to a terminal, or to a pipe, that follows a log.
func terminal(t *testing.T, isTerminal bool, f grepFlags) (p *printer, add func(text string, partial bool), shown func() string) {
	t.Helper()
	var out bytes.Buffer
	g, err := f.selection(false)
	if err != nil {
		t.Fatal(err)
	}
	p = &printer{out: newLiveWriter(&out), terminal: isTerminal, colors: true, grep: g, row: screen.Row{Colors: true}}
	p.begin(true)
	seq := int64(0)
	add = func(text string, partial bool) {
		t.Helper()
		out, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.add(lines.Line{Seq: seq + 1, JSON: fmt.Appendf(nil, `{"pos":%d,"out":%s,"partial":%v}`, seq, out, partial)}); err != nil {
			t.Fatal(err)
		}
		seq++
		if p.live != nil {
			p.live.Stop() // the test says when
			p.preview()
		}
	}
	return p, add, func() string {
		p.out.show()
		defer out.Reset()
		return out.String()
	}
}

func wantShown(t *testing.T, shown func() string, want string) {
	t.Helper()
	if got := shown(); got != want {
		t.Errorf("it shows %q, want %q", got, want)
	}
}

func TestAnUnfinishedLineShowsOnATerminal(t *testing.T) {
	p, add, shown := terminal(t, true, grepFlags{})
	add("Password: ", true)
	wantShown(t, shown, "Password: ")
	add("***", true)
	wantShown(t, shown, "***")
	add("\n", false)
	wantShown(t, shown, "\n")
	add("1%\r", true)
	wantShown(t, shown, "1%")
	add("22%\r", true)
	wantShown(t, shown, "\r\x1b[K22%")
	add("done\n", false)
	wantShown(t, shown, "\r\x1b[Kdone\n")
	add("left", true)
	if err := p.end(); err != nil {
		t.Fatal(err)
	}
	wantShown(t, shown, "left\n")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestAPipeGetsOnlyWhatStays(t *testing.T) {
	p, add, shown := terminal(t, false, grepFlags{})
	add("Password: ", true)
	wantShown(t, shown, "Password: ")
	add("ok\n", false)
	wantShown(t, shown, "ok\n")
	add("1%\r", true)
	wantShown(t, shown, "1%")
	add("22%\r", true)
	wantShown(t, shown, "") // it cannot be replaced
	add("done\n", false)
	wantShown(t, shown, "\ndone\n")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}

func TestMatchesAreHighlightedOnATerminal(t *testing.T) {
	p, add, shown := terminal(t, true, grepFlags{Grep: "err(or)?", Around: 1})
	for _, text := range []string{"\x1b[32mbefore\n", "an error, an err\x1b[0m\n", "after\n", "\x1b[31mfar\n", "away\n", "err\n"} {
		add(text, false)
	}
	if err := p.end(); err != nil {
		t.Fatal(err)
	}
	wantShown(t, shown, "\x1b[32mbefore\x1b[0m\nan \x1b[1;31merror\x1b[0m, an \x1b[1;31merr\x1b[0m\nafter\n--\naway\n\x1b[1;31merr\x1b[0m\n")
	if err := p.Close(); err != nil {
		t.Error(err)
	}
}
