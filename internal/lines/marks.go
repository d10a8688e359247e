package lines

import (
	"bytes"
	"strconv"

	logservice "github.com/harness/log-service"
)

// A client that saw no answer sends the same bytes again, and so does a client
// that has the same to report again. logs.Lines.Dedupe is set where the marks
// of a batch, the members pos and time of its lines, exclude the second. It is
// better to store a retry twice than to drop a line, so in doubt they do not.
//
// A line identifies its batch if it has
//
//   - an integer of at least 0 in pos, and
//   - in time, a point in time that is not on a whole second.
//
// One such line is enough: an equal batch would have that very line. Other
// values of time (null, "", 0, the zero time, a number of elapsed seconds) say
// nothing about when the line was written, and several equal lines are written
// within a second.
//
// The value of pos does not matter. Most clients send the same one in every
// line: 0 (the Java delegate, the original command line, syslog-ng) or 1 (chaos
// pods). Those that count begin at 0 in each writer, and writers share logs: two
// pods that start in the same second send the same first lines with the same
// positions. Whether a client counts shows only in several of its batches, and
// only if it writes alone. Remembering that per log would recognize the retries
// of no client that is known, since all that count also send finer times.
//
// The exception are Drone runners, see Counted.
//
// Two equal batches are taken for one if they have the same millisecond or
// nanosecond, whatever the clock of the client has, and the same pos. A client
// that sends equal lines that fast, one by one, should omit pos.
//
// TestClientsAndTheirRetries has the clients that this was checked against;
// docs/http-api.md, "Retries", explains it to users.
type marks struct {
	counted bool  // the protocol of the batch promises that pos counts
	settled bool  // identified cannot change any more
	last    int64 // the pos of the previous line, where counted
	// identified reports whether the lines so far identify their batch.
	identified bool
}

// add includes the next line of the batch, of which s is the span in b.
func (m *marks) add(b []byte, s span) {
	if m.counted {
		pos, ok := position(b, s.pos)
		m.identified = ok && pos > m.last
		m.last, m.settled = pos, !m.identified
		return
	}
	// The time comes first: where it does not do, it shows at once.
	if s.pos > 0 && s.time > 0 && fine(valueOf(b, s.time)) {
		_, m.identified = position(b, s.pos)
		m.settled = m.identified
	}
}

// valueOf returns the value of the member whose name ends before offset i.
func valueOf(b []byte, i int) []byte {
	i = skipSpace(b, i)   // to the colon
	i = skipSpace(b, i+1) // to the value
	return b[i:valueEnd(b, i)]
}

// position returns the value of the member whose name ends before offset i, if
// there is one (i is not 0) and it is an integer from 0 on.
func position(b []byte, i int) (pos int64, ok bool) {
	if i == 0 {
		return 0, false
	}
	pos, err := strconv.ParseInt(string(valueOf(b, i)), 10, 64)
	return pos, err == nil && pos >= 0
}

// fine reports whether a value is a point in time, from the year 2000 on, that
// is not on a whole second.
func fine(value []byte) bool {
	if len(value) > maxKept {
		return false
	}
	// Many clients send dates without a fraction, in every line.
	if len(value) > 5 && value[5] == '-' && bytes.IndexByte(value, '.') < 0 && bytes.IndexByte(value, ',') < 0 {
		return false
	}
	t, ok := logservice.ParseTime(value)
	return ok && t.Nanosecond() != 0 && t.Year() >= 2000
}
