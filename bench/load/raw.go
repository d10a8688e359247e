package load

import (
	"bytes"
	"io"
)

// rawLog is a finished log as NDJSON, of about size bytes: the pool of lines,
// again and again.
type rawLog struct {
	pool []byte
	left int64
	at   int
}

// NewRawLog returns a log of size bytes.
func NewRawLog(size int64) *rawLog {
	log, r := NewBuildLog(TextSeed), &rawLog{left: size}
	for n := 0; n < poolLines && int64(len(r.pool)) < size; n++ {
		var pos int
		r.pool, pos, _ = log.Line(r.pool, false)
		Digits(r.pool[pos:], PosBase+int64(n), 9)
		r.pool = append(r.pool, '\n')
	}
	return r
}

func (r *rawLog) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := copy(p[:min(int64(len(p)), r.left)], r.pool[r.at:])
	r.at = (r.at + n) % len(r.pool)
	r.left -= int64(n)
	return n, nil
}

// CountLines counts the line ends in p.
func CountLines(p []byte) int64 { return int64(bytes.Count(p, []byte{'\n'})) }
