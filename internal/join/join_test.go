package join

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/harness/log-service/internal/logs"
)

// log is a log in batches of some lines, as a cursor.
type log struct {
	lines []string
	step  int
	next  int
}

func (l *log) Next(context.Context) ([]*logs.Batch, error) {
	if l.next >= len(l.lines) {
		return nil, io.EOF
	}
	end := min(l.next+l.step, len(l.lines))
	data := strings.Join(l.lines[l.next:end], "\n") + "\n"
	b := &logs.Batch{First: int64(l.next + 1), Count: int64(end - l.next), Data: []byte(data)}
	l.next = end
	return []*logs.Batch{b}, nil
}

func (*log) Ready() <-chan struct{} { return nil }
func (*log) Close()                 {}

func open(lines []string) Open {
	return func(context.Context) (logs.Cursor, error) { return &log{lines: lines, step: 7}, nil }
}

// joined returns the texts of the joined log, with gaps as "gap N" and lines of
// our own as "note".
func joined(t interface {
	Fatal(...any)
	Fatalf(string, ...any)
}, streamed, uploaded []string) (texts []string, p *Plan) {
	p, err := Make(context.Background(), open(streamed), open(uploaded))
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range streamed {
		texts = append(texts, text(l))
	}
	next := int64(len(streamed) + 1)
	c := p.Cursor(&log{lines: uploaded, step: 5}, next)
	for {
		batches, err := c.Next(context.Background())
		if err == io.EOF {
			return texts, p
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range batches {
			if b.First != next {
				t.Fatalf("a batch from %d, want %d", b.First, next)
			}
			next = b.Next()
			if b.Gap {
				texts = append(texts, fmt.Sprintf("gap %d", b.Count))
				continue
			}
			if n := int64(bytes.Count(b.Data, []byte("\n"))); n != b.Count {
				t.Fatalf("a batch of %d lines has %d", b.Count, n)
			}
			for l := range strings.Lines(string(b.Data)) {
				texts = append(texts, text(l))
			}
		}
	}
}

func text(l string) string {
	var v struct {
		Level, Out string
	}
	if err := json.Unmarshal([]byte(l), &v); err != nil {
		return "invalid " + l
	}
	if v.Level == "warn" && strings.HasPrefix(v.Out, "[") {
		return "note"
	}
	return strings.TrimRight(v.Out, "\n")
}

// numbered are the lines from to to-1, each with its position and a text that
// repeats.
func numbered(from, to int) (lines []string) {
	for i := from; i < to; i++ {
		lines = append(lines, fmt.Sprintf(`{"pos":%d,"out":"%d\n","time":"2026-01-02T15:04:05Z"}`, i, i%4))
	}
	return lines
}

// texted are lines without positions.
func texted(texts ...string) (lines []string) {
	for _, s := range texts {
		lines = append(lines, fmt.Sprintf(`{"out":%q}`, s+"\n"))
	}
	return lines
}

func upTo(from, to int) (texts []string) {
	for i := from; i < to; i++ {
		texts = append(texts, fmt.Sprint(i%4))
	}
	return texts
}

func TestAnUploadAddsWhatWasNotStreamed(t *testing.T) {
	letters := func(s string) []string { return texted(strings.Split(s, "")...) }
	split := func(s string) []string { return strings.Split(s, " ") }
	for _, c := range []struct {
		name               string
		streamed, uploaded []string
		want               []string
		complete           bool
		unrelated          bool
	}{
		{"the same", numbered(0, 50), numbered(0, 50), upTo(0, 50), true, false},
		{"the end only", numbered(0, 50), numbered(30, 50), upTo(0, 50), true, false},
		{"the start only", numbered(0, 50), numbered(0, 20), upTo(0, 50), false, false},
		{"more at the end", numbered(0, 50), numbered(30, 60), upTo(0, 60), true, false},
		{"all, of which a part was streamed", numbered(0, 5), numbered(0, 60), upTo(0, 60), true, false},
		{"what follows directly", numbered(0, 50), numbered(50, 60), upTo(0, 60), true, false},
		{"what follows later", numbered(0, 50), numbered(70, 80), append(append(upTo(0, 50), "gap 20"), upTo(70, 80)...), true, false},
		{"a batch that was not streamed", append(numbered(0, 10), numbered(20, 30)...), numbered(0, 30),
			append(append(append(upTo(0, 10), upTo(20, 30)...), "note"), upTo(10, 20)...), true, false},
		{"a batch that was not streamed, and more", append(numbered(0, 10), numbered(20, 30)...), append(numbered(0, 30), numbered(33, 35)...),
			slices.Concat(upTo(0, 10), upTo(20, 30), []string{"note"}, upTo(10, 20), []string{"gap 3"}, upTo(33, 35)), true, false},
		{"a start that was not streamed", numbered(10, 20), numbered(0, 20), append(append(upTo(10, 20), "note"), upTo(0, 10)...), true, false},
		{"nothing", numbered(0, 5), nil, upTo(0, 5), false, false},
		{"to nothing", nil, numbered(0, 5), upTo(0, 5), true, false},

		{"the same text", letters("abcabca"), letters("abcabca"), split("a b c a b c a"), true, false},
		{"the end of a text", letters("abcabcd"), letters("cabcd"), split("a b c a b c d"), true, false},
		{"one line of text", letters("a"), letters("a"), split("a"), true, false},
		{"the end of a text, and more", letters("xyzabc"), letters("abcdef"), split("x y z a b c d e f"), true, false},
		{"all of a text", letters("abc"), letters("abcabcd"), split("a b c note a b c d"), true, false},
		{"a text that shares a line with the stream", letters("abc"), letters("cde"), split("a b c"), false, true},
		{"another text", letters("abc"), letters("xyz"), split("a b c"), false, true},
		{"other lines at the same positions", numbered(0, 3), append(texted("x"), `{"pos":1,"out":"y"}`), split("0 1 2"), false, true},
		{"a text that differs in the middle", letters("abcxdef"), letters("abcuvdef"), split("a b c x d e f note u v"), true, false},
		{"a text whose start was not streamed", letters("defg"), letters("abcdef"), split("d e f g note a b c"), false, false},
	} {
		got, p := joined(t, c.streamed, c.uploaded)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\ngot  %q\nwant %q", c.name, got, c.want)
		}
		if p.Complete != c.complete {
			t.Errorf("%s: complete is %v, want %v", c.name, p.Complete, c.complete)
		}
	}
}

// Whatever was streamed and uploaded of one log: what was streamed stays where
// it was, and every line is there exactly once.
func TestEveryLineIsJoinedOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := numbered(0, rapid.IntRange(0, 60).Draw(t, "lines"))
		kept := func(name string) []string {
			switch rapid.IntRange(0, 3).Draw(t, name) {
			case 0:
				return all
			case 1:
				return all[rapid.IntRange(0, len(all)).Draw(t, "from"):]
			case 2:
				return all[:rapid.IntRange(0, len(all)).Draw(t, "to")]
			}
			var some []string
			for _, l := range all {
				if rapid.IntRange(0, 4).Draw(t, "keep") > 0 {
					some = append(some, l)
				}
			}
			return some
		}
		streamed, uploaded := kept("streamed"), kept("uploaded")
		got, p := joined(t, streamed, uploaded)
		if p.Unrelated {
			for _, l := range uploaded {
				if slices.Contains(streamed, l) {
					t.Fatalf("unrelated, but both have %s", l)
				}
			}
			return
		}
		var plain []string
		for i, s := range got {
			if i < len(streamed) && s != text(streamed[i]) {
				t.Fatalf("line %d is %q and was streamed as %q", i+1, s, text(streamed[i]))
			}
			if s != "note" && !strings.HasPrefix(s, "gap ") {
				plain = append(plain, s)
			}
		}
		want := slices.Clone(streamed)
		for _, l := range uploaded {
			if !slices.Contains(streamed, l) {
				want = append(want, l)
			}
		}
		for i := range want {
			want[i] = text(want[i])
		}
		if !slices.Equal(plain, want) {
			t.Fatalf("got  %q\nwant %q", plain, want)
		}
	})
}
