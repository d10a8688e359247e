package drone

import (
	"bytes"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/harness/log-service/internal/lines"
)

// maxElapsed is the largest number, in seconds, that is relative to the start
// of a step: three years. Larger numbers are points in time.
const maxElapsed = 1e8

// absolute returns the lines of data, in the form of logs.Lines.Data, with
// absolute times: a number of seconds since the writer began becomes a point in
// time, and the number is kept as the member elapsed. A line without text is
// none: runners send one after each block of output.
func absolute(data []byte, began time.Time) (out []byte, count int64) {
	out = make([]byte, 0, len(data)+len(data)/4)
	for line := range bytes.Lines(data) {
		members := lines.Members(line)
		if slices.ContainsFunc(members, isEmptyText) {
			continue
		}
		count++
		done := 0 // of line
		for _, m := range members {
			if m.Name != "time" {
				continue
			}
			d, ok := seconds(m.Value)
			if !ok {
				continue
			}
			out = append(append(out, line[done:m.At]...), '"')
			out = began.Add(d).UTC().AppendFormat(out, time.RFC3339Nano)
			out = append(append(out, `","elapsed":`...), m.Value...)
			done = m.At + len(m.Value)
		}
		out = append(out, line[done:]...)
	}
	return out, count
}

func isEmptyText(m lines.Member) bool { return m.Name == "out" && string(m.Value) == `""` }

// beginning returns when the writer of a log began to count, from a line that
// absolute wrote; ok is false for other lines.
func beginning(line []byte) (began time.Time, ok bool) {
	var at time.Time
	var since time.Duration
	for _, m := range lines.Members(line) {
		switch m.Name {
		case "time":
			if at.UnmarshalJSON(m.Value) != nil {
				return time.Time{}, false
			}
		case "elapsed":
			if since, ok = seconds(m.Value); !ok {
				return time.Time{}, false
			}
		}
	}
	return at.Add(-since), ok && !at.IsZero()
}

// elapsed returns the largest time of the lines of data that is relative to the
// start of their writer, and zero if there is none.
func elapsed(data []byte) (most time.Duration) {
	for line := range bytes.Lines(data) {
		for _, m := range lines.Members(line) {
			if d, ok := seconds(m.Value); ok && m.Name == "time" {
				most = max(most, d)
			}
		}
	}
	return most
}

func seconds(v []byte) (time.Duration, bool) {
	n, err := strconv.ParseFloat(string(v), 64)
	if err != nil || n < 0 || n > maxElapsed {
		return 0, false
	}
	return time.Duration(math.Round(n * float64(time.Second))), true
}
