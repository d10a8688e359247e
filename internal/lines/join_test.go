package lines

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// joinAll returns the joined lines, each with its sequence before it.
func joinAll(t testing.TB, lookahead int, all ...string) (got []string) {
	t.Helper()
	j := Joiner{Lookahead: lookahead}
	yield := func(l Line) error {
		if !json.Valid(l.JSON) {
			t.Fatalf("no JSON: %s", l.JSON)
		}
		got = append(got, fmt.Sprint(l.Seq, " ", string(l.JSON)))
		return nil
	}
	for i, text := range all {
		buf := []byte(text)
		if err := j.Add(Line{Seq: int64(i + 1), JSON: buf}, yield); err != nil {
			t.Fatal(err)
		}
		clear(buf) // a reader reuses its buffer
	}
	if err := j.Flush(yield); err != nil {
		t.Fatal(err)
	}
	return got
}

func TestPiecesAreJoined(t *testing.T) {
	const lookahead = 2
	for _, tc := range []struct {
		name     string
		in, want []string
	}{
		{"nothing to join", []string{`{"out":"a\n"}`, `{"x":1}`, `{"out":"say \"partial\":true\n"}`},
			[]string{`1 {"out":"a\n"}`, `2 {"x":1}`, `3 {"out":"say \"partial\":true\n"}`}},
		{"dots", []string{`{"level":"info","pos":0,"out":".","time":"t0","args":null,"partial":true}`,
			`{"level":"info","pos":1,"out":".","time":"t1","args":null,"partial":true}`, `{"level":"info","pos":2,"out":"done\n","time":"t2","args":null}`},
			[]string{`3 {"level":"info","pos":0,"out":"..done\n","time":"t0","args":null}`}},
		{"without pos", []string{`{"out":"a","partial":true}`, `{"out":"b\n"}`, `{"out":"c\n"}`}, []string{`2 {"out":"ab\n"}`, `3 {"out":"c\n"}`}},
		{"the same pos", []string{`{"pos":4,"out":"a","partial":true}`, `{"pos":4,"out":"b\n"}`}, []string{`2 {"pos":4,"out":"ab\n"}`}},
		{"escapes across pieces", []string{`{"out":"\ud83d","partial":true}`, `{"out":"\ude00\n"}`}, []string{`2 {"out":"\ud83d\ude00\n"}`}},
		{"another writer between", []string{`{"pos":7,"out":"a","partial":true}`, `{"pos":0,"out":"x\n"}`, `{"pos":8,"out":"b\n"}`},
			[]string{`3 {"pos":7,"out":"ab\n"}`, `2 {"pos":0,"out":"x\n"}`}},
		{"two writers of pieces", []string{`{"pos":7,"out":"a","partial":true}`, `{"pos":0,"out":"x","partial":true}`, `{"pos":8,"out":"b\n"}`, `{"pos":1,"out":"y\n"}`},
			[]string{`3 {"pos":7,"out":"ab\n"}`, `4 {"pos":0,"out":"xy\n"}`}},
		{"too many lines between", []string{`{"pos":7,"out":"a","partial":true}`, `{"pos":0,"out":"x\n"}`, `{"pos":1,"out":"y\n"}`, `{"pos":2,"out":"z\n"}`, `{"pos":8,"out":"b\n"}`},
			[]string{`1 {"pos":7,"out":"a","partial":true}`, `2 {"pos":0,"out":"x\n"}`, `3 {"pos":1,"out":"y\n"}`, `4 {"pos":2,"out":"z\n"}`, `5 {"pos":8,"out":"b\n"}`}},
		{"the log ends first", []string{`{"out":"a","partial":true}`, `{"out":"b","partial":true}`}, []string{`2 {"out":"ab","partial":true}`}},
		{"not a piece after all", []string{`{"out":"a","partial":false}`, `{"out":1,"partial":true}`, `{"partial":true}`, `{"out":"b\n"}`},
			[]string{`1 {"out":"a","partial":false}`, `2 {"out":1,"partial":true}`, `3 {"partial":true}`, `4 {"out":"b\n"}`}},
		{"a gap", []string{`{"pos":1,"out":"a","partial":true}`, `{"gap":{"first":2,"last":2},"out":"[1 lines lost]\n"}`, `{"pos":2,"out":"b\n"}`},
			[]string{`3 {"pos":1,"out":"ab\n"}`, `2 {"gap":{"first":2,"last":2},"out":"[1 lines lost]\n"}`}},
		{"a writer that may be either", []string{`{"pos":1,"out":"a","partial":true}`, `{"pos":0,"out":"x\n"}`, `{"pos":1,"out":"y\n"}`, `{"pos":2,"out":"z\n"}`},
			[]string{`1 {"pos":1,"out":"a","partial":true}`, `2 {"pos":0,"out":"x\n"}`, `3 {"pos":1,"out":"y\n"}`, `4 {"pos":2,"out":"z\n"}`}},
		{"an empty end", []string{`{"pos":1,"out":"a","partial":true}`, `{"pos":2,"out":""}`, `{"pos":0,"out":"x\n"}`}, []string{`2 {"pos":1,"out":"a"}`, `3 {"pos":0,"out":"x\n"}`}},
		{"a program's JSON between", []string{`{"pos":1,"out":"a","partial":true}`, `{"msg":"x"}`, `{"pos":2,"out":"b\n"}`}, []string{`3 {"pos":1,"out":"ab\n"}`, `2 {"msg":"x"}`}},
		{"a cut piece", []string{`{"out":"ab","truncated":10,"partial":true}`, `{"out":"c\n"}`}, []string{`2 {"out":"abc\n","truncated":12}`}},
		{"its own members", []string{`{"a":1,"out":"x","out":"a","b":[2],"partial":true}`, `{"c":3,"out":"b"}`}, []string{`2 {"a":1,"out":"ab","b":[2]}`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if diff := cmp.Diff(tc.want, joinAll(t, lookahead, tc.in...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestALiveReaderDoesNotWaitForAnotherWriter(t *testing.T) {
	var got []string
	j := Joiner{}
	yield := func(l Line) error { got = append(got, string(l.JSON)); return nil }
	add := func(text string) {
		if err := j.Add(Line{Seq: 1, JSON: []byte(text)}, yield); err != nil {
			t.Fatal(err)
		}
	}
	add(`{"pos":7,"out":"a","partial":true}`)
	if open, ok := j.Open(); !ok || string(open.JSON) != `{"pos":7,"out":"a","partial":true}` || len(got) > 0 {
		t.Errorf("begun: %s, %v; yielded %q", open.JSON, ok, got)
	}
	add(`{"pos":0,"out":"x\n"}`)
	if _, ok := j.Open(); ok || len(got) != 2 {
		t.Errorf("after another writer's line: yielded %q", got)
	}
}

func TestAnEndlessLineIsCutAndCounted(t *testing.T) {
	piece := `{"out":"` + strings.Repeat("é", 1<<19) + `","partial":true}` // 1 MiB
	j := Joiner{}
	var got Line
	yield := func(l Line) error { got = l; return nil }
	for range 20 {
		if err := j.Add(Line{JSON: []byte(piece)}, yield); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.Flush(yield); err != nil || len(got.JSON) > maxJoined+200 || !strings.HasSuffix(string(got.JSON), `,"truncated":20971520,"partial":true}`) {
		t.Errorf("%d bytes, %v: …%s", len(got.JSON), err, got.JSON[max(0, len(got.JSON)-60):])
	}
}

func TestAJoinerStopsWithItsReader(t *testing.T) {
	stop := errors.New("stop")
	j := Joiner{}
	if err := j.Add(Line{JSON: []byte(`{"out":"a"}`)}, func(Line) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("error %v", err)
	}
}

// FuzzJoin splits the text of two writers into pieces, mixes them, and wants the
// lines back.
func FuzzJoin(f *testing.F) {
	f.Add("one\n\ntwo\r\n...done\n", "x\"\\y\n\x1b[31mred", uint64(1))
	f.Add("", "\n\n\xff", uint64(7))
	f.Fuzz(func(t *testing.T, a, b string, seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		texts := [2]string{strings.ToValidUTF8(a, "?"), strings.ToValidUTF8(b, "?")}
		pos := [2]int{0, 1 << 20}
		var in []string
		want := map[string]int{}
		for w := range texts {
			for line := range strings.Lines(texts[w]) {
				want[line]++
			}
		}
		for texts[0]+texts[1] != "" {
			w := r.IntN(2)
			if texts[w] == "" {
				w = 1 - w
			}
			line, _, _ := strings.Cut(texts[w], "\n")
			n := len(line)
			if n < len(texts[w]) {
				n++
			}
			runes := []rune(texts[w][:n])
			piece := string(runes[:1+r.IntN(len(runes))])
			out, err := json.Marshal(piece)
			if err != nil {
				t.Fatal(err)
			}
			partial := ""
			if !strings.HasSuffix(piece, "\n") {
				partial = `,"partial":true`
			}
			in = append(in, fmt.Sprintf(`{"pos":%d,"out":%s%s}`, pos[w], out, partial))
			pos[w]++
			texts[w] = texts[w][len(piece):]
		}
		for _, text := range joinAll(t, len(in), in...) {
			var line struct{ Out string }
			_, text, _ = strings.Cut(text, " ")
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Fatal(err)
			}
			if want[line.Out]--; want[line.Out] < 0 {
				t.Fatalf("%q was not written so often; pieces %q", line.Out, in)
			}
		}
		for line, n := range want {
			if n != 0 {
				t.Fatalf("%q is missing %d times; pieces %q", line, n, in)
			}
		}
	})
}
