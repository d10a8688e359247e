package logservice

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

// ParseTime reads the time of a line as real clients send it. The value is
// JSON:
//
//   - text as in RFC 3339, also with a space or without a zone (UTC), with a
//     comma before the fraction, without seconds, with a zone such as +0100 or +01
//   - the time since 1970 as a number or in quotes, in seconds, milliseconds,
//     microseconds or nanoseconds; its size shows which
//   - an array as Java writes it: [year, month, day, hour, minute, second,
//     nanosecond], of which the last four may be missing
//
// The result is in UTC. It is false if the time is unknown: null, the zero time,
// a number so small that it must be a duration, or anything else.
func ParseTime(value []byte) (time.Time, bool) {
	if len(value) == 0 {
		return time.Time{}, false
	}
	switch value[0] {
	case '[':
		return parseTimeArray(value)
	case '"':
		text := value[1:max(1, len(value)-1)]
		if bytes.IndexByte(text, '\\') >= 0 {
			var s string
			if json.Unmarshal(value, &s) != nil {
				return time.Time{}, false
			}
			text = []byte(s)
		}
		return ParseTimeText(text)
	}
	return parseEpoch(value)
}

// ParseTimeText is ParseTime for the text between the quotes.
func ParseTimeText(text []byte) (time.Time, bool) {
	if len(text) > 4 && (text[4] == '-' || text[4] == '/') {
		return parseDate(text)
	}
	return parseEpoch(text)
}

// parseDate reads a date, and the time of day if there is one.
func parseDate(text []byte) (time.Time, bool) {
	p := timeScanner{rest: text, ok: true}
	var d [7]int64 // year, month, day, hour, minute, second, nanosecond
	d[0] = p.number(4)
	sep := p.one("-/")
	d[1] = p.number(2)
	p.one(string(sep))
	d[2] = p.number(2)
	if p.ok && len(p.rest) > 0 {
		p.one("Tt _")
		p.spaces()
		d[3] = p.number(2)
		p.one(":")
		d[4] = p.number(2)
		if p.next(":") {
			d[5] = p.number(2)
			if p.next(".,") {
				d[6] = p.fraction()
			}
		}
	}
	offset := p.zone()
	if !p.ok || len(p.rest) > 0 {
		return time.Time{}, false
	}
	t, ok := dateOf(d)
	if t = t.Add(-offset); !ok || t.IsZero() {
		return time.Time{}, false
	}
	return t, true
}

// dateOf is false if a number is out of range. A second 60 is a leap second.
func dateOf(d [7]int64) (time.Time, bool) {
	day := time.Date(int(d[0]), time.Month(d[1]), int(d[2]), 0, 0, 0, 0, time.UTC)
	ok := d[1] <= 12 && day.Day() == int(d[2]) && d[3] <= 23 && d[4] <= 59 && d[5] <= 60
	t := day.Add(time.Duration((d[3]*60+d[4])*60+d[5])*time.Second + time.Duration(d[6]))
	if !ok || t.IsZero() {
		return time.Time{}, false
	}
	return t, true
}

// timeScanner reads parts of a text; ok is false after the first that is not
// there.
type timeScanner struct {
	rest []byte
	ok   bool
}

// number reads exactly n digits.
func (p *timeScanner) number(n int) (v int64) {
	if len(p.rest) < n {
		p.ok = false
		return 0
	}
	for _, c := range p.rest[:n] {
		if c < '0' || c > '9' {
			p.ok = false
			return 0
		}
		v = v*10 + int64(c-'0')
	}
	p.rest = p.rest[n:]
	return v
}

// fraction reads the digits of a fraction of a second, as nanoseconds.
func (p *timeScanner) fraction() (nanos int64) {
	n := 0
	for ; n < len(p.rest) && p.rest[n] >= '0' && p.rest[n] <= '9'; n++ {
		if n < 9 {
			nanos = nanos*10 + int64(p.rest[n]-'0')
		}
	}
	for i := n; i < 9; i++ {
		nanos *= 10
	}
	p.ok = p.ok && n > 0
	p.rest = p.rest[n:]
	return nanos
}

// next skips a byte if it is one of set.
func (p *timeScanner) next(set string) bool {
	if len(p.rest) == 0 || bytes.IndexByte([]byte(set), p.rest[0]) < 0 {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// one is next, where there must be one.
func (p *timeScanner) one(set string) (c byte) {
	if len(p.rest) > 0 {
		c = p.rest[0]
	}
	p.ok = p.next(set) && p.ok
	return c
}

func (p *timeScanner) spaces() {
	for p.next(" ") {
	}
}

// zone reads the zone: nothing, Z or a name for UTC, or an offset. A name after an
// offset adds nothing.
func (p *timeScanner) zone() (offset time.Duration) {
	p.spaces()
	switch sign := p.rest; {
	case p.next("+-"):
		offset = time.Duration(p.number(2)) * time.Hour
		if p.next(":") || len(p.rest) >= 2 && p.rest[0] >= '0' && p.rest[0] <= '9' {
			offset += time.Duration(p.number(2)) * time.Minute
		}
		if sign[0] == '-' {
			offset = -offset
		}
		p.spaces()
		for len(p.rest) > 0 && (p.rest[0] >= 'A' && p.rest[0] <= 'Z') {
			p.rest = p.rest[1:]
		}
	case bytes.Equal(p.rest, []byte("UTC")), bytes.Equal(p.rest, []byte("GMT")):
		p.rest = nil
	default:
		p.next("Zz")
	}
	if len(p.rest) > 0 && p.rest[0] == '[' && p.rest[len(p.rest)-1] == ']' { // Java: [Europe/Paris]
		p.rest = nil
	}
	return offset
}

// minEpochDigits is the least number of digits of the seconds since 1970, those
// of March 1973: smaller numbers are durations.
const minEpochDigits = 9

// parseEpoch reads a number: digits, a point among them, an exponent. It is
// exact, which a float64 of nanoseconds is not.
func parseEpoch(number []byte) (time.Time, bool) {
	var digits [32]byte // without leading zeros; more are below a nanosecond
	n, whole, exponent := 0, -1, 0
	i := 0
	for ; i < len(number) && (number[i] >= '0' && number[i] <= '9' || number[i] == '.' && whole < 0); i++ {
		switch {
		case number[i] == '.':
			whole = n
		case n == 0 && number[i] == '0':
			if whole >= 0 {
				return time.Time{}, false // less than one
			}
		case n < len(digits):
			digits[n] = number[i] - '0'
			n++
		}
	}
	if whole < 0 {
		whole = n
	}
	if i < len(number) && (number[i] == 'e' || number[i] == 'E') {
		var err error
		if exponent, err = strconv.Atoi(string(number[i+1:])); err != nil || exponent > 20 {
			return time.Time{}, false
		}
		i = len(number)
	}
	// Seconds have at most 11 digits until the year 5138; those of a finer unit
	// have three more for each.
	whole += exponent
	if i < len(number) || whole < minEpochDigits || whole > 20 {
		return time.Time{}, false
	}
	seconds := whole - max(0, (whole-9)/3)*3
	var sec, nano int64
	for d, read := 0, digits[:n]; d < seconds+9; d++ {
		v := int64(0)
		if d < len(read) {
			v = int64(read[d])
		}
		if d < seconds {
			sec = sec*10 + v
		} else {
			nano = nano*10 + v
		}
	}
	return time.Unix(sec, nano).UTC(), true
}

// parseTimeArray reads an array of three to seven integers.
func parseTimeArray(value []byte) (time.Time, bool) {
	var d []int64
	if len(value) > 128 || json.Unmarshal(value, &d) != nil || len(d) < 3 || len(d) > 7 {
		return time.Time{}, false
	}
	var all [7]int64
	copy(all[:], d)
	for _, n := range all {
		if n < 0 || n >= 1e9 {
			return time.Time{}, false
		}
	}
	return dateOf(all)
}
