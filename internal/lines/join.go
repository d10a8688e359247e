package lines

import (
	"bytes"
	"slices"
	"strconv"
)

// Line is a line as it is stored, and its place. Outside this package it is
// also known as client.Raw.
type Line struct {
	Attempt int64 // zero is the first
	Seq     int64 // zero if it has none
	JSON    []byte
}

// maxJoined limits the text of a joined line, as JSON. What comes after is
// counted, and missing.
const maxJoined = 16 << 20

// Joiner joins the pieces of lines: programs write prompts and progress bars
// before the line ends, and long lines are sent in parts. Such a piece has the
// member "partial", and the next line of its writer continues it. That is the
// next line of the log, unless its pos shows that it is another writer's: a writer
// counts its lines, or has the same pos in all. After lines of others, only the next
// pos is a sign, and only if it is not the next one of theirs.
//
// A joined line has the members of its first piece, the text of all, and the
// sequence of the last one, so that a reader can go on after it. It is partial
// if the log ended before the line did. It is the one implementation of joining:
// every reader of lines uses it.
type Joiner struct {
	// Lookahead is how many lines of others may come between two pieces; they
	// follow the joined line. A reader of a live log has zero: it shows what there is.
	Lookahead int

	held []held
}

// held is a line that waits: the first one for its end, others for the first.
type held struct {
	Line
	open    bool
	pos     int64 // of the last piece, if it has one
	hasPos  bool
	members []Member // of the first piece
	text    []byte   // of all pieces, as JSON; nil if there is one alone
	missing int64    // bytes of text that were cut
}

// Add adds the next line of a log. It calls yield with each line that is complete,
// until that returns an error. The JSON that yield gets is valid until it returns;
// l.JSON is not kept.
func (j *Joiner) Add(l Line, yield func(Line) error) error {
	if len(j.held) == 0 && !bytes.Contains(l.JSON, []byte(`"partial"`)) {
		return yield(l)
	}
	l.JSON = bytes.Clone(l.JSON)
	next := hold(l)
	if h := j.begun(next); h != nil {
		h.add(next)
	} else {
		j.held = append(j.held, next)
	}
	for len(j.held) > 0 && (!j.held[0].open || len(j.held) > j.Lookahead+1) {
		first := j.held[0]
		j.held = j.held[1:]
		if err := yield(first.joined()); err != nil {
			return err
		}
	}
	return nil
}

// Flush yields what is left when the log ends.
func (j *Joiner) Flush(yield func(Line) error) error {
	all := j.held
	j.held = nil
	for i := range all {
		if err := yield(all[i].joined()); err != nil {
			return err
		}
	}
	return nil
}

// Open returns the line of which the end has not come yet, as it is so far. It is
// false if there is none.
func (j *Joiner) Open() (Line, bool) {
	if len(j.held) == 0 {
		return Line{}, false
	}
	return j.held[0].joined(), true
}

// hold reads a line. One that is no object, or has no text, is not a piece.
func hold(l Line) held {
	h := held{Line: l}
	if len(l.JSON) == 0 || l.JSON[0] != '{' {
		return h
	}
	s, err := object(l.JSON, 0, false)
	if err != nil || skipSpace(l.JSON, s.end) < len(l.JSON) {
		return h
	}
	h.members = Members(l.JSON)
	for _, m := range h.members {
		switch m.Name {
		case "partial":
			h.open = string(m.Value) == "true"
		case "pos":
			n, err := strconv.ParseInt(string(m.Value), 10, 64)
			h.pos, h.hasPos = n, err == nil
		case "gap":
			h.members = nil
			return held{Line: l}
		}
	}
	if textOf(h.members) < 0 {
		h.open = false
	}
	return h
}

// textOf returns the index of the member with the text, or -1. Of several, the
// last one counts.
func textOf(members []Member) int {
	for i, m := range slices.Backward(members) {
		if m.Name == "out" {
			if m.Value[0] != '"' {
				return -1
			}
			return i
		}
	}
	return -1
}

// begun returns the line that next continues, or nil.
func (j *Joiner) begun(next held) *held {
	if textOf(next.members) < 0 || next.Seq == 0 && len(j.held) > 0 && j.held[0].Seq > 0 {
		return nil
	}
	for i := range j.held {
		h := &j.held[i]
		known := h.hasPos && next.hasPos
		switch {
		case !h.open || h.Attempt != next.Attempt:
		case i == len(j.held)-1 && (!known || next.pos == h.pos):
			return h
		case known && next.pos == h.pos+1 && !j.counted(j.held[i+1:], h.pos):
			return h
		}
	}
	return nil
}

// counted reports whether one of the lines has this pos: the next pos may be of
// its writer.
func (j *Joiner) counted(others []held, pos int64) bool {
	return slices.ContainsFunc(others, func(h held) bool { return h.hasPos && h.pos == pos })
}

// add continues h.
func (h *held) add(next held) {
	if h.text == nil {
		h.text = make([]byte, 0, len(h.JSON)+len(next.JSON))
		h.append(h.members)
	}
	h.append(next.members)
	h.Seq, h.open, h.pos, h.hasPos = next.Seq, next.open, next.pos, next.hasPos
}

// append adds the text of a piece.
func (h *held) append(piece []Member) {
	value := piece[textOf(piece)].Value
	text := value[1 : len(value)-1]
	cut := int64(-1)
	for _, m := range piece {
		if n, err := strconv.ParseInt(string(m.Value), 10, 64); m.Name == "truncated" && err == nil {
			cut = n
		}
	}
	if cut >= 0 {
		h.missing += max(0, cut-textLen(text))
	}
	if room := maxJoined - len(h.text); len(text) > room {
		kept := cutPoint(text, max(0, room))
		h.missing += textLen(text[kept:])
		text = text[:kept]
	}
	h.text = append(h.text, text...)
}

// joined returns the whole line.
func (h *held) joined() Line {
	if h.text == nil {
		return h.Line
	}
	at := textOf(h.members)
	dst := append(make([]byte, 0, len(h.JSON)+len(h.text)+64), '{')
	for i, m := range h.members {
		switch {
		case i == at:
			dst = append(dst, `"out":"`...)
			dst = append(append(dst, h.text...), '"', ',')
		case m.Name != "partial" && m.Name != "truncated" && m.Name != "out":
			dst = append(append(append(dst, '"'), m.Name...), `":`...)
			dst = append(append(dst, m.Value...), ',')
		}
	}
	if h.missing > 0 {
		dst = strconv.AppendInt(append(dst, `"truncated":`...), textLen(h.text)+h.missing, 10)
		dst = append(dst, ',')
	}
	if h.open {
		dst = append(dst, `"partial":true,`...)
	}
	dst[len(dst)-1] = '}'
	return Line{Attempt: h.Attempt, Seq: h.Seq, JSON: dst}
}
