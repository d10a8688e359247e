package client

import (
	"fmt"
	"time"
)

// Limits of a batch. A batch that reaches either one is sent at once. Larger
// batches gain little, and a batch is resent whole when its response is lost.
const (
	maxBatchLines = 5000
	maxBatchBytes = 1 << 20
	// maxSpillBytes is the space that the temporary file must have before a
	// batch is begun: the last line of a batch may be six times maxPieceBytes.
	maxSpillBytes = 2 << 20
)

// batch is a JSON array of lines.
type batch struct {
	data  []byte // nil while it is in the temporary file
	lines int64
	text  int64 // bytes of text
	began time.Time
}

// All of the following need mu, except due, which takes it.

// add appends a line to the current batch.
func (w *Writer) add(p piece) {
	if w.begun != nil && w.begun != p.from {
		w.endLine(p.at)
	}
	w.stats.Lines++
	w.stats.Bytes += int64(len(p.text))
	if w.failed != nil || (w.bestEffort && w.batch == nil && !w.hasRoom()) {
		w.lose(1, int64(len(p.text)))
		return
	}
	if w.batch == nil {
		w.begin()
	}
	w.append(p)
}

// begin starts a batch. If lines were lost before it, its first line says so.
func (w *Writer) begin() {
	w.batch = &batch{data: append(make([]byte, 0, w.batchSize()), '['), began: time.Now()}
	w.stats.Pending++
	w.signal()
	if w.gap.lines > 0 {
		note := fmt.Sprintf("[%d lines (%d bytes) were not delivered: the writer's memory was full]\n", w.gap.lines, w.gap.bytes)
		w.gap = gap{}
		if w.begun != nil {
			w.stats.Lines++
			w.append(piece{level: w.level, at: time.Now(), from: w.begun})
		}
		w.stats.Lines++
		w.append(piece{level: "warn", at: time.Now(), text: []byte(note)})
	}
}

func (w *Writer) append(p piece) {
	if w.begun = nil; p.partial {
		w.begun = p.from
	}
	b := w.batch
	before := len(b.data)
	if b.lines > 0 {
		b.data = append(b.data, ',')
	}
	b.data = appendLine(b.data, w.pos, p)
	b.lines++
	b.text += int64(len(p.text))
	w.pos++
	w.stats.Pending += int64(len(b.data) - before)
	if b.lines >= maxBatchLines || len(b.data) >= maxBatchBytes {
		w.store(w.seal())
	}
}

// endLine ends a line whose pieces are not followed by its end: otherwise what
// comes next would be taken for it.
func (w *Writer) endLine(now time.Time) {
	last := w.begun
	w.begun = nil
	w.add(piece{level: w.level, at: now, from: last})
}

// seal completes the current batch.
func (w *Writer) seal() *batch {
	b := w.batch
	b.data = append(b.data, ']')
	w.stats.Pending++
	w.batch = nil
	return b
}

// store queues a batch: in memory, or if that is full, in the temporary file.
func (w *Writer) store(b *batch) {
	w.full = append(w.full, b)
	w.signal()
	if w.stats.Pending <= w.memory {
		return
	}
	ok, err := w.spill.write(b.data)
	if err != nil {
		w.c.log.Warn("log writer cannot use its temporary file", "key", w.key, "error", err)
	}
	if ok {
		w.stats.Pending -= int64(len(b.data))
		w.stats.Spilled = w.spill.used
		b.data = nil
	}
}

// hasRoom reports whether a batch may be begun.
func (w *Writer) hasRoom() bool {
	if w.stats.Pending < w.memory {
		return true
	}
	_, ok := w.spill.fit(maxSpillBytes)
	return ok
}

// next removes the oldest queued batch; nil if there is none.
func (w *Writer) next() *batch {
	for len(w.full) > 0 {
		b := w.full[0]
		w.full[0] = nil // the slice keeps its memory
		w.full = w.full[1:]
		if b.data != nil {
			return b
		}
		data, err := w.spill.read()
		w.stats.Spilled = w.spill.used
		if err == nil {
			b.data = data
			w.stats.Pending += int64(len(data))
			return b
		}
		w.c.log.Warn("log writer cannot read its temporary file", "key", w.key, "lost", b.lines, "error", err)
		w.lose(b.lines, b.text)
		w.unread += b.lines
	}
	return nil
}

// lose counts lines that will not be delivered.
func (w *Writer) lose(lines, bytes int64) {
	w.stats.Lost += lines
	w.stats.LostBytes += bytes
	w.gap.lines += lines
	w.gap.bytes += bytes
	w.broadcast()
}

// batchSize estimates the size of the next batch from the last one queued, so
// that sustained output does not grow every batch from scratch.
func (w *Writer) batchSize() int {
	if n := len(w.full); n > 0 && w.full[n-1].data != nil {
		return len(w.full[n-1].data) + 4<<10
	}
	return 4 << 10
}

// signal wakes the sender.
func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// due returns the next batch to send, or how long to wait for one. finished
// reports that no more batches will follow.
func (w *Writer) due(now time.Time) (b *batch, wait time.Duration, finished bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	hurry := w.closed || w.flushTo > w.settled()
	wait = time.Hour // every change wakes the sender
	for _, t := range w.texts {
		if wholeRunes(t.partial) == 0 {
			continue
		}
		if left := partialAfter - now.Sub(t.since); left > 0 {
			wait = min(wait, left)
		} else {
			t.cut()
			hurry = true
		}
	}
	if b := w.next(); b != nil {
		return b, 0, false
	}
	if w.batch == nil {
		return nil, wait, w.closed
	}
	if left := linger - now.Sub(w.batch.began); left > 0 && !hurry {
		return nil, min(wait, left), false
	}
	return w.seal(), 0, false
}
