package client

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	logservice "github.com/harness/log-service"
)

// message is a copy of an event that remains valid.
type message struct {
	Name string
	ID   int64
	Data string
}

func readEvents(src io.Reader) ([]message, error) {
	var all []message
	for r := newEventReader(src); ; {
		e, err := r.next()
		if err != nil {
			return all, err
		}
		all = append(all, message{e.name, e.id.Sequence, string(e.data)})
	}
}

func TestAnEventStreamIsReadAsTheStandardSays(t *testing.T) {
	for _, c := range []struct {
		name, in string
		want     []message
	}{
		{"a line of a log", ": ping\nid: 1\ndata: {\"out\":\"a\"}\n\n", []message{{"", 1, `{"out":"a"}`}}},
		{"line ends CRLF", "id: 1\r\ndata: a\r\n\r\nid: 2\r\ndata: b\r\n\r\n", []message{{"", 1, "a"}, {"", 2, "b"}}},
		{"line ends CRLF inside an event", "event: x\r\ndata: a\r\ndata: b\r\n\r\n", []message{{"x", 0, "a\nb"}}},
		{"line ends CR", "id: 1\rdata: a\r\rdata: b\r\r", []message{{"", 1, "a"}, {"", 1, "b"}}},
		{"line ends of all kinds", "data: a\r\n\ndata: b\r\r\n", []message{{"", 0, "a"}, {"", 0, "b"}}},
		{"data of several lines", "data: a\ndata:\ndata:  b\n\n", []message{{"", 0, "a\n\n b"}}},
		{"data without a space, and with a colon", "data:a:b\n\n", []message{{"", 0, "a:b"}}},
		{"empty data is an event, none is not", "data\n\nid: 5\n\ndata: x\n\n", []message{{"", 0, ""}, {"", 5, "x"}}},
		{"an event's name is for one event", "event: a\ndata: 1\n\ndata: 2\n\nevent: b\n\ndata: 3\n\n", []message{{"a", 0, "1"}, {"", 0, "2"}, {"", 0, "3"}}},
		{"an id stays until the next", "id: 7\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", []message{{"", 7, "a"}, {"", 7, "b"}, {"", 0, "c"}}},
		{"an id with NUL is passed over", "id: 7\ndata: a\n\nid: 8\x00\ndata: b\n\n", []message{{"", 7, "a"}, {"", 7, "b"}}},
		{"an id that is no sequence", "id: abc\ndata: a\n\nid: -1\ndata: b\n\nid: 99999999999999999999\ndata: c\n\n", []message{{"", 0, "a"}, {"", 0, "b"}, {"", 0, "c"}}},
		{"comments and unknown fields", ":\n:x\nretry: 10\nfoo\nfoo: bar\ndata: a\n\n", []message{{"", 0, "a"}}},
		{"a byte order mark", "\xef\xbb\xbfdata: a\n\n", []message{{"", 0, "a"}}},
		{"the end mark", "event: error\ndata: eof\n\n", []message{{"error", 0, "eof"}}},
		{"the end mark of older servers", "event: error\ndata: eof\n", []message{{"error", 0, "eof"}}},
		{"an event cut short", "id: 1\ndata: a\n\nid: 2\ndata: b\n", []message{{"", 1, "a"}}},
		{"a line cut short", "data: a\n\nevent: error\ndata: eof", []message{{"", 0, "a"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, src := range map[string]io.Reader{
				"whole":      strings.NewReader(c.in),
				"by bytes":   iotest.OneByteReader(strings.NewReader(c.in)),
				"error last": iotest.DataErrReader(strings.NewReader(c.in)),
			} {
				got, err := readEvents(src)
				if diff := cmp.Diff(c.want, got); diff != "" || !errors.Is(err, io.EOF) {
					t.Errorf("%s: error %v, events (-want +got)\n%s", name, err, diff)
				}
			}
		})
	}
}

func TestALineOfALogAtItsLimitIsRead(t *testing.T) {
	long := strings.Repeat("x", logservice.DefaultMaxLineBytes)
	got, _ := readEvents(strings.NewReader("id: 3\ndata: " + long + "\n\nid: 4\ndata: b\n\n"))
	if diff := cmp.Diff([]message{{"", 3, long}, {"", 4, "b"}}, got); diff != "" {
		t.Error(diff)
	}
}

func TestAnEndlessLineIsRefusedWithBoundedMemory(t *testing.T) {
	for _, in := range []string{"", "data: "} {
		src := io.MultiReader(strings.NewReader(in), endless('x'))
		r := newEventReader(src)
		r.max = 1 << 20
		if _, err := r.next(); !errors.Is(err, logservice.ErrTooLarge) {
			t.Errorf("error %v, want ErrTooLarge", err)
		}
		if len(r.buf) > 4*r.max {
			t.Errorf("the buffer has grown to %d bytes", len(r.buf))
		}
	}
}

func TestAnEventOfEndlessLinesIsRefused(t *testing.T) {
	line := "data: " + strings.Repeat("x", 1<<16) + "\n"
	r := newEventReader(strings.NewReader(strings.Repeat(line, 20)))
	r.max = 1 << 20
	_, err := r.next()
	if !errors.Is(err, logservice.ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// plainEvents is the algorithm of the standard, word for word, on the whole
// stream at once.
func plainEvents(in []byte) []message {
	in = bytes.TrimPrefix(in, []byte("\xef\xbb\xbf"))
	in = bytes.ReplaceAll(in, []byte("\r\n"), []byte("\n"))
	in = bytes.ReplaceAll(in, []byte("\r"), []byte("\n"))
	lines := bytes.Split(in, []byte("\n"))
	var all []message
	var e message
	data := ""
	for _, line := range lines[:len(lines)-1] { // the last one is unterminated
		name, value, _ := strings.Cut(string(line), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case len(line) == 0 && data == "":
			e.Name = ""
		case len(line) == 0:
			e.Data = strings.TrimSuffix(data, "\n")
			all = append(all, e)
			e.Name, data = "", ""
		case name == "data":
			data += value + "\n"
		case name == "event":
			e.Name = value
		case name == "id" && !strings.Contains(value, "\x00"):
			e.ID = position([]byte(value)).Sequence
		}
	}
	if e.Name == "error" && data == "eof\n" {
		all = append(all, message{"error", e.ID, "eof"})
	}
	return all
}

func FuzzEvents(f *testing.F) {
	for _, seed := range []string{
		": ping\nid: 1\ndata: {\"level\":\"info\",\"pos\":0,\"out\":\"a\\n\"}\n\nevent: error\ndata: eof\n\n",
		"\xef\xbb\xbfid: 1\r\ndata: a\r\n\r\n", "data: a\rdata\r\rid\n\n", "event: error\ndata: eof\n", "id: 1\x00\ndata:\n\n", "\r\n\r", "",
		"event: x\r\ndata: a\r\ndata: b\r\n\r\n",
	} {
		f.Add([]byte(seed), uint8(3))
	}
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		want := plainEvents(in)
		got, err := readEvents(bytes.NewReader(in))
		if diff := cmp.Diff(want, got); diff != "" || !errors.Is(err, io.EOF) {
			t.Fatalf("error %v, events (-standard +got)\n%s", err, diff)
		}
		got, err = readEvents(&piecewise{in: in, size: int(size)%7 + 1})
		if diff := cmp.Diff(want, got); diff != "" || !errors.Is(err, io.EOF) {
			t.Fatalf("in pieces: error %v, events (-standard +got)\n%s", err, diff)
		}
	})
}

// piecewise yields a few bytes per read.
type piecewise struct {
	in   []byte
	size int
}

func (p *piecewise) Read(b []byte) (int, error) {
	if len(p.in) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.size)], p.in)
	p.in = p.in[n:]
	return n, nil
}

func BenchmarkTailDecoding(b *testing.B) {
	one := `{"level":"info","pos":12345,"out":"` + strings.Repeat("compile ", 15) + `\n","time":"2026-01-02T15:04:05.123456789Z","args":null}`
	stream := strings.Repeat("id: 12345\ndata: "+one+"\n\n", 1000)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	var l logservice.Line
	for b.Loop() {
		r := newEventReader(strings.NewReader(stream))
		for {
			e, err := r.next()
			if err != nil {
				break
			}
			if err := decodeLine(e.data, &l); err != nil {
				b.Fatal(err)
			}
		}
	}
}
