package endpoint

import (
	"bytes"
	"strconv"

	"github.com/harness/log-service/internal/logs"
)

// The parts of a tail that are not lines. Browsers drop an event without the
// empty line at its end. A ping has none: some clients deliver an empty event
// for each empty line.
const (
	pingFrame = ": ping\n"
	eofFrame  = "event: error\ndata: eof\n\n"
)

// eventEnd ends an event, and occurs nowhere else: a line has no line break.
var eventEnd = []byte("\n\n")

// framing writes a batch as server-sent events, in the form of the WHATWG HTML
// standard: a line is an event whose id is its position. The data of a batch
// holds no line breaks inside a line, so a line is one data field.
//
// It is made once per batch and shared by all readers; see Batch.Encoded.
type framing func(*logs.Batch) []byte

// frames is the framing of an attempt's batches.
func frames(attempt int64) framing {
	if attempt == 1 {
		return firstFrames
	}
	return func(b *logs.Batch) []byte { return encode(b, attempt) }
}

func firstFrames(b *logs.Batch) []byte { return encode(b, 1) }

func encode(b *logs.Batch, attempt int64) []byte {
	const perLine = len("id: ") + len("\ndata: ") + len("\n\n")
	prefix := "id: "
	if attempt > 1 {
		prefix += strconv.FormatInt(attempt, 10) + "-"
	}
	digits := len(strconv.FormatInt(b.Last(), 10)) + len(prefix) - len("id: ")
	lines := b.Count
	if b.Gap {
		lines = 1
	}
	out := make([]byte, 0, len(b.Data)+int(lines)*(perLine+digits))
	seq := b.First
	if b.Gap {
		seq = b.Last() // resuming continues after the gap
	}
	for data := b.Data; len(data) > 0; seq++ {
		n := bytes.IndexByte(data, '\n') + 1
		if n == 0 {
			n = len(data)
		}
		out = strconv.AppendInt(append(out, prefix...), seq, 10)
		out = append(append(append(out, "\ndata: "...), data[:n]...), '\n')
		data = data[n:]
	}
	return out
}
