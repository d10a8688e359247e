package load

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// Tail checks a stream of server-sent events as its bytes arrive: every line
// once, in order, from after on, and then the end. It is an answer's onBody.
type Tail struct {
	Last   int64 // sequence of the last line
	Want   int64 // sequence whose arrival completes the tail; 0: the end
	Every  int64 // lines of which last%every is 0 carry a stamp; 0: none
	Frames int64
	Bytes  int64
	Pings  int64
	EOF    bool

	OnStamp func(sent int64) // sees the stamps
	OnWant  func()           // called once, when want has arrived

	part  []byte // an unfinished line
	ident int64  // of the event being read, 0: none yet
	event bool   // the event being read has a name: it is the end
}

// maxFrame bounds a line of the event stream: the longest line that the
// protocol allows and its escapes.
const maxFrame = 8 << 20

var errFrame = errors.New("malformed event stream")

// Feed parses p, a piece of the event stream.
func (t *Tail) Feed(p []byte) error {
	t.Bytes += int64(len(p))
	for {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			if t.part = append(t.part, p...); len(t.part) > maxFrame {
				return fmt.Errorf("%w: line too long", errFrame)
			}
			return nil
		}
		line := p[:i]
		if len(t.part) > 0 {
			line = append(t.part, line...)
			t.part = line[:0]
		}
		p = p[i+1:]
		if err := t.line(line); err != nil {
			return err
		}
	}
}

func (t *Tail) line(line []byte) error {
	if len(line) == 0 {
		t.event, t.ident = false, 0
		return nil
	}
	switch line[0] {
	case 'd':
		return t.data(line)
	case 'i':
		if len(line) < 5 || string(line[:4]) != "id: " {
			return fmt.Errorf("%w: %.40q", errFrame, line)
		}
		t.ident = 0
		for _, c := range line[4:] {
			if c < '0' || c > '9' {
				return fmt.Errorf("%w: %.40q", errFrame, line)
			}
			t.ident = t.ident*10 + int64(c-'0')
		}
		return nil
	case ':':
		t.Pings++
		return nil
	}
	if string(line) == "event: error" {
		t.event = true
		return nil
	}
	return fmt.Errorf("%w: %.40q", errFrame, line)
}

func (t *Tail) data(line []byte) error {
	switch {
	case len(line) < 7 || string(line[:6]) != "data: ":
		return fmt.Errorf("%w: %.40q", errFrame, line)
	case t.event && string(line) == "data: eof":
		t.EOF = true
		return nil
	case t.event:
		return fmt.Errorf("the tail failed: %.200q", line)
	case t.ident != t.Last+1:
		return fmt.Errorf("line %d after line %d: %.80q", t.ident, t.Last, line)
	case line[6] != '{' || line[len(line)-1] != '}':
		return fmt.Errorf("%w: line %d is cut: %.80q", errFrame, t.ident, line)
	}
	t.Frames++
	t.Last = t.ident
	if t.Every > 0 && t.Last%t.Every == 0 {
		if err := t.sample(line); err != nil {
			return err
		}
	}
	if t.Last == t.Want && t.OnWant != nil {
		t.OnWant()
	}
	return nil
}

// sample reads the stamp of a line and checks that its position belongs to its
// sequence, which holds for the logs of a single writer.
func (t *Tail) sample(line []byte) error {
	pos, ok := Number(line, `"pos":`, 9)
	if !ok || pos != PosBase+t.Last-1 {
		return fmt.Errorf("line %d carries position %d: %.80q", t.Last, pos, line)
	}
	sent, ok := Number(line, `"out":"@`, StampBytes)
	if !ok {
		return fmt.Errorf("line %d carries no stamp: %.80q", t.Last, line)
	}
	if t.OnStamp != nil {
		t.OnStamp(sent)
	}
	return nil
}

// Number reads the n digits that follow name.
func Number(line []byte, name string, n int) (int64, bool) {
	i := bytes.Index(line, []byte(name))
	if i < 0 || i+len(name)+n > len(line) {
		return 0, false
	}
	v, err := strconv.ParseInt(string(line[i+len(name):i+len(name)+n]), 10, 64)
	return v, err == nil
}
