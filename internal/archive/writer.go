package archive

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/harness/log-service/internal/logs"
)

// Writer writes one archive. It holds about two frames in memory, and the index
// (48 bytes per frame). It is used by one goroutine.
type Writer struct {
	codec *Codec
	w     io.Writer
	index index

	lines []byte // collected for the next frame
	count int64  // of them
	out   []byte // a compressed frame, reused
	next  int64  // the sequence that Append expects; zero before the first batch
	err   error  // the first error; nothing is written after it
}

// NewWriter returns a Writer of an archive to w.
func (c *Codec) NewWriter(w io.Writer) *Writer {
	return &Writer{codec: c, w: w, index: index{first: 1}}
}

// NewPlainWriter returns a Writer of a plain archive to w: only the lines; for
// the index see Index.
func (c *Codec) NewPlainWriter(w io.Writer) *Writer {
	return &Writer{codec: c, w: w, index: index{first: 1, flags: flagPlain}}
}

// MarkIncomplete marks the archive as that of a log whose writer became silent.
func (w *Writer) MarkIncomplete() { w.index.flags |= flagIncomplete }

// Append adds a batch, which must follow the previous one; the first may start
// at any sequence. It does not retain b.Data. After an error the archive is
// unusable.
func (w *Writer) Append(b *logs.Batch) error {
	if w.err == nil {
		w.err = w.append(b)
	}
	return w.err
}

func (w *Writer) append(b *logs.Batch) error {
	if err := w.check(b); err != nil {
		return err
	}
	if w.next == 0 {
		w.index.first = b.First
	}
	w.next = b.First + b.Count
	if b.Gap {
		if err := w.flush(); err != nil {
			return err
		}
		return w.frame(b.Data, b.Count, true)
	}
	data, count := b.Data, b.Count
	for len(data) > 0 {
		free := frameTarget - len(w.lines)
		if len(data) < free {
			w.lines, w.count = append(w.lines, data...), w.count+count
			return nil
		}
		n := bytes.LastIndexByte(data[:free], '\n') + 1
		if n == 0 && len(w.lines) == 0 { // a line longer than a frame
			n = bytes.IndexByte(data, '\n') + 1
		}
		piece := data[:n]
		lines := int64(bytes.Count(piece, newline))
		data, count = data[n:], count-lines
		if len(w.lines) == 0 {
			if err := w.frame(piece, lines, false); err != nil {
				return err
			}
			continue
		}
		w.lines, w.count = append(w.lines, piece...), w.count+lines
		if err := w.flush(); err != nil {
			return err
		}
	}
	return nil
}

var newline = []byte{'\n'}

// check rejects a batch that would make the index wrong.
func (w *Writer) check(b *logs.Batch) error {
	lines := int64(bytes.Count(b.Data, newline))
	switch {
	case b.First < 1 || b.Count < 1 || b.First+b.Count > maxSequence:
		return fmt.Errorf("archive: a batch of %d lines from sequence %d", b.Count, b.First)
	case w.next != 0 && b.First != w.next:
		return fmt.Errorf("archive: a batch starts at sequence %d, not at %d", b.First, w.next)
	case len(b.Data) == 0 || b.Data[len(b.Data)-1] != '\n':
		return fmt.Errorf("archive: the batch from sequence %d does not end in a line break", b.First)
	case b.Gap && lines != 1, !b.Gap && lines != b.Count:
		return fmt.Errorf("archive: the batch from sequence %d has %d lines, not %d", b.First, lines, b.Count)
	}
	return nil
}

// flush writes the collected lines as a frame.
func (w *Writer) flush() error {
	if len(w.lines) == 0 {
		return nil
	}
	err := w.frame(w.lines, w.count, false)
	w.lines, w.count = w.lines[:0], 0
	return err
}

func (w *Writer) frame(lines []byte, count int64, gap bool) error {
	switch {
	case len(lines) > maxFrame:
		return fmt.Errorf("archive: a line of %d bytes is over the limit of %d", len(lines), maxFrame)
	case len(w.index.frames) == maxFrames:
		return fmt.Errorf("archive: the log is too long: more than %d frames", maxFrames)
	}
	out := lines
	if !w.index.plain() {
		w.out = w.codec.enc.EncodeAll(lines, w.out[:0])
		out = w.out
	}
	w.index.content = crc32.Update(w.index.content, castagnoli, lines)
	w.index.add(frame{
		count: count, gap: gap,
		length: int32(len(lines)), size: int32(len(out)),
		crc: crc32.Checksum(out, castagnoli),
	})
	if _, err := w.w.Write(out); err != nil {
		return fmt.Errorf("archive: %w", err)
	}
	return nil
}

// Close writes the remaining lines and the index. It does not close the
// underlying writer. An archive may have no lines.
func (w *Writer) Close() (logs.Summary, error) {
	if w.err == nil {
		w.err = w.flush()
	}
	if w.err == nil && !w.index.plain() {
		if _, err := w.w.Write(w.index.encode()); err != nil {
			w.err = fmt.Errorf("archive: %w", err)
		}
	}
	if w.err != nil {
		return logs.Summary{}, w.err
	}
	w.err = fmt.Errorf("archive: written to after Close")
	return w.index.summary(), nil
}

// Index returns the index of a plain archive, about 14 bytes per 256 KiB. Call
// it after Close.
func (w *Writer) Index() []byte { return w.index.encode() }
