package main

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// tail checks a stream of server-sent events as its bytes come: every line
// once, in order, from after on, and then the end. It is an answer's onBody.
type tail struct {
	last   int64 // sequence of the last line
	want   int64 // sequence whose arrival completes the tail; 0: the end
	every  int64 // lines of which last%every is 0 carry a stamp; 0: none
	frames int64
	bytes  int64
	pings  int64
	eof    bool

	onStamp func(sent int64) // sees the stamps
	onWant  func()           // called once, when want has come

	part  []byte // an unfinished line
	ident int64  // of the event being read, 0: none yet
	event bool   // the event being read has a name: it is the end
}

// maxFrame bounds a line of the event stream: the longest line that the
// protocol allows and its escapes.
const maxFrame = 8 << 20

var errFrame = errors.New("malformed event stream")

// feed parses p, a piece of the event stream.
func (t *tail) feed(p []byte) error {
	t.bytes += int64(len(p))
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

func (t *tail) line(line []byte) error {
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
		t.pings++
		return nil
	}
	if string(line) == "event: error" {
		t.event = true
		return nil
	}
	return fmt.Errorf("%w: %.40q", errFrame, line)
}

func (t *tail) data(line []byte) error {
	switch {
	case len(line) < 7 || string(line[:6]) != "data: ":
		return fmt.Errorf("%w: %.40q", errFrame, line)
	case t.event && string(line) == "data: eof":
		t.eof = true
		return nil
	case t.event:
		return fmt.Errorf("the tail failed: %.200q", line)
	case t.ident != t.last+1:
		return fmt.Errorf("line %d after line %d: %.80q", t.ident, t.last, line)
	case line[6] != '{' || line[len(line)-1] != '}':
		return fmt.Errorf("%w: line %d is cut: %.80q", errFrame, t.ident, line)
	}
	t.frames++
	t.last = t.ident
	if t.every > 0 && t.last%t.every == 0 {
		if err := t.sample(line); err != nil {
			return err
		}
	}
	if t.last == t.want && t.onWant != nil {
		t.onWant()
	}
	return nil
}

// sample reads the stamp of a line and checks that its position belongs to its
// sequence, which holds for the logs of a single writer.
func (t *tail) sample(line []byte) error {
	pos, ok := number(line, `"pos":`, 9)
	if !ok || pos != posBase+t.last-1 {
		return fmt.Errorf("line %d carries position %d: %.80q", t.last, pos, line)
	}
	sent, ok := number(line, `"out":"@`, stampBytes)
	if !ok {
		return fmt.Errorf("line %d carries no stamp: %.80q", t.last, line)
	}
	if t.onStamp != nil {
		t.onStamp(sent)
	}
	return nil
}

// number reads the n digits that follow name.
func number(line []byte, name string, n int) (int64, bool) {
	i := bytes.Index(line, []byte(name))
	if i < 0 || i+len(name)+n > len(line) {
		return 0, false
	}
	v, err := strconv.ParseInt(string(line[i+len(name):i+len(name)+n]), 10, 64)
	return v, err == nil
}
