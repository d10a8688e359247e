package logs

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Batch is a run of consecutive lines of one log. It is immutable once its
// engine has published it, so any number of readers share one.
type Batch struct {
	// First is the sequence of the first line; sequences start at 1.
	First int64
	// Count is how many sequences the batch covers.
	Count int64
	// Data holds the lines: each a JSON object without line breaks inside,
	// followed by \n. Count lines, or a single one when Gap is set.
	Data []byte
	// Gap marks a batch whose one line stands for Count lines that are gone.
	Gap bool

	frames atomic.Pointer[[]byte] // what Encoded made, while resident

	mu       sync.Mutex    // guards resident and the making of frames
	resident *atomic.Int64 // the memory account of the engine, nil outside it
}

// Next is the sequence that follows the batch.
func (b *Batch) Next() int64 { return b.First + b.Count }

// Last is the sequence of the last line.
func (b *Batch) Last() int64 { return b.First + b.Count - 1 }

// From returns what of b is left from sequence first on, which b covers.
func (b *Batch) From(first int64) *Batch {
	switch {
	case first <= b.First:
		return b
	case b.Gap:
		return NewGap(first, b.Next()-first)
	}
	return &Batch{First: first, Count: b.Next() - first, Data: skip(b.Data, first-b.First)}
}

// skip returns what follows the first n lines of data.
func skip(data []byte, n int64) []byte {
	for range n {
		data = data[bytes.IndexByte(data, '\n')+1:]
	}
	return data
}

// Hold enters the batch into account: the bytes of its data now, those of
// its encoded form when it is made. Called once, by the engine, before the
// batch is published.
func (b *Batch) Hold(account *atomic.Int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.resident = account
	account.Add(int64(cap(b.Data)))
}

// Release takes the batch out of its account and lets the encoded form go.
// Readers that still have the batch may go on using it.
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

// Encoded returns the batch in a reader's wire form, made by encode once and
// shared by all readers of the batch. While the batch is resident it counts in
// its account. There is one such form: every caller passes the same encode.
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

// NewGap returns the batch that tells readers of count lost lines, from
// sequence first on. Its one line is an ordinary one with the member "gap"
// first, so that readers which do not know of gaps show its text.
func NewGap(first, count int64) *Batch {
	line := fmt.Appendf(nil,
		`{"gap":{"first":%d,"last":%d},"level":"warn","pos":%d,"out":"[%d lines lost]\n","time":%q,"args":null}`+"\n",
		first, first+count-1, first-1, count, time.Now().UTC().Format(time.RFC3339Nano))
	return &Batch{First: first, Count: count, Data: line, Gap: true}
}
