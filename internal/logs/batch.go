package logs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	logservice "github.com/harness/log-service"
)

// Batch is a run of consecutive lines of one log. It is immutable once its
// engine has published it, so any number of readers can share it.
type Batch struct {
	// First is the sequence of the first line; sequences start at 1.
	First int64
	// Count is the number of sequences that the batch covers.
	Count int64
	// Data holds the lines, each a JSON object without line breaks, followed by
	// \n: Count lines, or a single one if Gap is set.
	Data []byte
	// Gap marks a batch whose only line represents Count lost lines.
	Gap bool
	// Begins is the attempt of the log that the batch announces to a reader who
	// has read an earlier one; its only line has the sequence 0. Otherwise it is
	// zero.
	Begins int64

	frames atomic.Pointer[[]byte] // the result of Encoded, while resident

	mu       sync.Mutex    // guards resident and the creation of frames
	resident *atomic.Int64 // the memory account of the engine; nil if not counted
}

// Next is the sequence that follows the batch.
func (b *Batch) Next() int64 { return b.First + b.Count }

// Last is the sequence of the last line.
func (b *Batch) Last() int64 { return b.First + b.Count - 1 }

// From returns the part of b from sequence first on, which b must cover.
func (b *Batch) From(first int64) *Batch {
	switch {
	case first <= b.First:
		return b
	case b.Gap:
		return NewGap(first, b.Next()-first)
	}
	return &Batch{First: first, Count: b.Next() - first, Data: skip(b.Data, first-b.First)}
}

// skip returns data without its first n lines.
func skip(data []byte, n int64) []byte {
	for range n {
		data = data[bytes.IndexByte(data, '\n')+1:]
	}
	return data
}

// Hold adds the batch to account: the bytes of its data, and those of its
// encoded form as soon as there is one. The engine calls it once, before it
// shares the batch.
func (b *Batch) Hold(account *atomic.Int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := int64(cap(b.Data))
	if f := b.frames.Load(); f != nil {
		n += int64(cap(*f))
	}
	b.resident = account
	account.Add(n)
}

// Release removes the batch from its account and drops the encoded form.
// Readers that still have the batch may continue to use it.
func (b *Batch) Release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.resident == nil {
		return
	}
	n := int64(cap(b.Data))
	if f := b.frames.Swap(nil); f != nil {
		n += int64(cap(*f))
	}
	b.resident.Add(-n)
	b.resident = nil
}

// Encoded returns the batch in the wire form of readers, created once by encode
// and shared by all readers of the batch. While the batch is resident, that
// form is counted in its account. There is only one form: all callers must pass
// the same encode.
func (b *Batch) Encoded(encode func(*Batch) []byte) []byte {
	if f := b.frames.Load(); f != nil {
		return *f
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if f := b.frames.Load(); f != nil {
		return *f
	}
	f := encode(b)
	b.frames.Store(&f)
	if b.resident != nil {
		b.resident.Add(int64(cap(f)))
	}
	return f
}

// NewGap returns the batch that reports count lost lines, from sequence first
// on. Its single line is an ordinary one whose first member is "gap", so
// readers that do not know gaps show its text.
func NewGap(first, count int64) *Batch {
	return newGap(logservice.Gap{First: first, Last: first + count - 1}, time.Now())
}

// NewDamage is NewGap for count stored lines that cannot be read, because of
// cause. A negative count means the rest of the log, of unknown length: the
// batch has a single sequence. It is the same for the same arguments.
func NewDamage(first, count int64, cause string, at time.Time) *Batch {
	g := logservice.Gap{First: first, Last: first + count - 1, Damage: cause}
	if count < 0 {
		g.Last, g.Rest = first, true
	}
	return newGap(g, at)
}

func newGap(g logservice.Gap, at time.Time) *Batch {
	level := "warn"
	if g.Damage != "" {
		level = "error"
	}
	line := struct {
		Gap   logservice.Gap    `json:"gap"`
		Level string            `json:"level"`
		Pos   int64             `json:"pos"`
		Out   string            `json:"out"`
		Time  time.Time         `json:"time"`
		Args  map[string]string `json:"args"`
	}{g, level, g.First - 1, "[" + g.String() + "]\n", at.UTC(), nil}
	data, err := json.Marshal(line)
	if err != nil {
		panic(err) // its members are texts and numbers: a bug
	}
	return &Batch{First: g.First, Count: g.Lines(), Data: append(data, '\n'), Gap: true}
}

// NewBeginning returns the batch that announces an attempt to readers of an
// earlier one. Its line is an ordinary one whose first member is "attempt".
func NewBeginning(attempt int64) *Batch {
	line := fmt.Appendf(nil,
		`{"attempt":%d,"level":"warn","pos":0,"out":"[attempt %d begins]\n","time":%q,"args":null}`+"\n",
		attempt, attempt, time.Now().UTC().Format(time.RFC3339Nano))
	return &Batch{Count: 1, Data: line, Begins: attempt}
}
