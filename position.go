package logservice

import (
	"strconv"
	"strings"
)

// Position is a place in a log: after a line of one of its attempts. The zero
// Position is the start.
//
// Each opening of a log after its end begins a new attempt of it, whose lines
// count from 1 again. So a sequence alone names a line of the first attempt
// only.
type Position struct {
	Attempt  int64 // from 1; zero: the newest attempt that has lines
	Sequence int64 // of the last line before the place; zero: before the first
}

// String returns the position as the id of an event: the sequence, and before it
// for later attempts than the first the attempt and a dash, as in 2-17.
func (p Position) String() string { return string(p.Append(nil)) }

// Append appends String to dst.
func (p Position) Append(dst []byte) []byte {
	if p.Attempt > 1 {
		dst = append(strconv.AppendInt(dst, p.Attempt, 10), '-')
	}
	return strconv.AppendInt(dst, p.Sequence, 10)
}

// ParsePosition parses the id of an event. A sequence alone is of the first
// attempt; 0 is the zero Position.
func ParsePosition(s string) (Position, error) {
	attempt, sequence, both := strings.Cut(s, "-")
	p := Position{Attempt: 1}
	var err error
	if both {
		p.Attempt, err = strconv.ParseInt(attempt, 10, 64)
	} else {
		sequence = s
	}
	if err == nil {
		p.Sequence, err = strconv.ParseInt(sequence, 10, 64)
	}
	if err != nil || p.Attempt < 1 || p.Sequence < 0 || sequence[0] == '+' {
		return Position{}, Invalidf("position %q is not one: use the id of the last event that you have, such as 17, or 2-17 in the second attempt of a log", s)
	}
	if !both && p.Sequence == 0 {
		return Position{}, nil
	}
	return p, nil
}
