package lines

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/harness/log-service/internal/logs"
)

// mark is byteOrderMark.
const mark = "\uFEFF"

func TestLoneSurrogatesBecomeTheReplacementCharacter(t *testing.T) {
	for in, want := range map[string]string{
		`"\ud800"`:                  `"\ufffd"`,
		`"\uDFFF"`:                  `"\ufffd"`,
		`"\udc00\ud800"`:            `"\ufffd\ufffd"`,
		`"\ud83d\ude00"`:            `"\ud83d\ude00"`,
		`"\ud83d\ud83d\ude00"`:      `"\ufffd\ud83d\ude00"`,
		`"\ud83d\ude00\ude00"`:      `"\ud83d\ude00\ufffd"`,
		`"\ud83dx\ude00"`:           `"\ufffdx\ufffd"`,
		`"\ud83d\n\ude00"`:          `"\ufffd\n\ufffd"`,
		`"\\ud800"`:                 `"\\ud800"`,
		`"\\\ud800"`:                `"\\\ufffd"`,
		`"\ud7ff\ue000\u001b"`:      `"\ud7ff\ue000\u001b"`,
		`"\uD83D"`:                  `"\ufffd"`,
		`"é\ud800"`:                 `"é\ufffd"`,
		"\"\xff\\ud800\"":           `"` + "\uFFFD" + `\ufffd"`,
		`{"\ud800":["\udfff",{}]}`:  `{"\ufffd":["\ufffd",{}]}`,
		`"\ud83d` + `", "b":"\ude"`: "",
	} {
		for name, parse := range parsers() {
			b, err := parse([]byte(`{"out":` + in + `}` + "\n"))
			if want == "" {
				if err == nil {
					t.Errorf("%s of %s: %s, want an error", name, in, b.Data)
				}
				continue
			}
			if err != nil || string(b.Data) != `{"out":`+want+"}\n" || !json.Valid(b.Data) {
				t.Errorf("%s of %s: %s, %v, want %s", name, in, b.Data, err, want)
			}
		}
	}
}

// parsers are the ways into a batch, each given one line.
func parsers() map[string]func([]byte) (b logs.Lines, err error) {
	const most = 1 << 20
	return map[string]func([]byte) (logs.Lines, error){
		"NDJSON": func(line []byte) (logs.Lines, error) {
			b, err := NDJSON(append(bytes.Clone(byteOrderMark), line...), most)
			return b, err
		},
		"Array": func(line []byte) (logs.Lines, error) {
			b, err := Array(append(append([]byte(mark+" ["), line...), ']'), most)
			return b, err
		},
		"Counted": func(line []byte) (logs.Lines, error) {
			b, err := Counted(append(append([]byte("["), line...), ']'), most)
			return b, err
		},
	}
}

func TestAByteOrderMarkIsNoContent(t *testing.T) {
	b, err := Text([]byte(mark+"a\n"+mark+"b\n"), TextOptions{Time: time.Now(), MaxLine: 1 << 20, MaxBytes: 1 << 20})
	if err != nil || b.Count != 2 || !utf8.Valid(b.Data) {
		t.Fatal(b, err)
	}
	var first, second struct{ Out string }
	rows := bytes.SplitAfter(b.Data, []byte("\n"))
	if json.Unmarshal(rows[0], &first) != nil || json.Unmarshal(rows[1], &second) != nil || first.Out != "a\n" || second.Out != mark+"b\n" {
		t.Errorf("%q, %q: only the first one is a mark", first.Out, second.Out)
	}
	for _, empty := range []string{"", " \n"} {
		if b, err := NDJSON([]byte(mark+empty), 1<<20); err != nil || b.Count != 0 {
			t.Errorf("%q: %v, %v", empty, b, err)
		}
	}
	if b, err := Array([]byte(mark+"[]"), 1<<20); err != nil || b.Count != 0 {
		t.Errorf("%v, %v", b, err)
	}
	if b, err := Array([]byte(mark+"null"), 1<<20); err != nil || b.Count != 0 {
		t.Errorf("%v, %v", b, err)
	}
	if _, err := Array([]byte(mark+mark+"[]"), 1<<20); err == nil {
		t.Error("two marks")
	}
}
