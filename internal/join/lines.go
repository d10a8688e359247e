package join

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"strconv"
	"time"

	"github.com/harness/log-service/internal/lines"
	"github.com/harness/log-service/internal/logs"
)

// line is what identifies a line.
type line struct {
	text   uint64 // hash of its text, without the line break
	pos    int64
	hasPos bool
}

// key identifies the text at its position.
func (l line) key() uint64 { return l.text ^ uint64(l.pos+1)*0x9e3779b97f4a7c15 }

var seed = maphash.MakeSeed()

// parse reads a line of JSON.
func parse(data []byte) line {
	var l line
	text, found := []byte(nil), false
	for _, m := range lines.Members(data) {
		switch m.Name {
		case "pos":
			n, err := strconv.ParseInt(string(m.Value), 10, 64)
			l.pos, l.hasPos = n, err == nil && n >= 0
		case "out":
			var out string
			if json.Unmarshal(m.Value, &out) == nil {
				text, found = []byte(out), true
			}
		}
	}
	if !found {
		text = data
	}
	l.text = maphash.Bytes(seed, bytes.TrimRight(text, "\r\n"))
	return l
}

// eachLine calls yield with every line of a log, until it returns false. A gap
// is no line.
func eachLine(ctx context.Context, open Open, yield func(line) bool) error {
	return eachBatch(ctx, open, func(b *logs.Batch) bool {
		for text := range linesOf(b) {
			if !yield(parse(text)) {
				return false
			}
		}
		return true
	})
}

// eachBatch calls yield with every batch of a log, until it returns false.
func eachBatch(ctx context.Context, open Open, yield func(*logs.Batch) bool) error {
	c, err := open(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		batches, err := c.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(batches) == 0 {
			return errNotEnded
		}
		for _, b := range batches {
			if !yield(b) {
				return nil
			}
		}
	}
}

var errNotEnded = errors.New("a log to be joined has not ended")

// linesOf yields the lines of a batch with their line breaks; none of a gap.
func linesOf(b *logs.Batch) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if b.Gap {
			return
		}
		for text := range bytes.Lines(b.Data) {
			if !yield(text) {
				return
			}
		}
	}
}

// remark is a line of our own.
func remark(sequence int64, text string) *logs.Batch {
	data := fmt.Appendf(nil, `{"level":"warn","pos":%d,"out":"[%s]\n","time":%q,"args":null}`+"\n",
		sequence-1, text, time.Now().UTC().Format(time.RFC3339Nano))
	return &logs.Batch{First: sequence, Count: 1, Data: data}
}

// bits is a set of lines.
type bits []uint64

func newBits(n int64) bits { return make(bits, (n+63)/64) }

func (b bits) set(i int64)      { b[i/64] |= 1 << (i % 64) }
func (b bits) has(i int64) bool { return i/64 < int64(len(b)) && b[i/64]&(1<<(i%64)) != 0 }

// puller returns a function that returns the lines of c one by one; false after
// the last.
func puller(ctx context.Context, c logs.Cursor) func() (line, bool, error) {
	var batches []*logs.Batch
	var rest []byte
	return func() (line, bool, error) {
		for len(rest) == 0 {
			if len(batches) == 0 {
				var err error
				batches, err = c.Next(ctx)
				if errors.Is(err, io.EOF) {
					return line{}, false, nil
				}
				if err == nil && len(batches) == 0 {
					err = errNotEnded
				}
				if err != nil {
					return line{}, false, err
				}
			}
			if !batches[0].Gap {
				rest = batches[0].Data
			}
			batches = batches[1:]
		}
		text, more, _ := bytes.Cut(rest, []byte{'\n'})
		rest = more
		return parse(text), true, nil
	}
}
