package service

import (
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
)

func isDamage(err error) bool { return logs.IsDamage(err) }

// unpackError means that a compressed blob cannot be decompressed further.
type unpackError struct {
	encoding string
	err      error
}

func (e *unpackError) Error() string {
	switch {
	case errors.Is(e.err, io.ErrUnexpectedEOF):
		return e.encoding + ": it ends early"
	case errors.Is(e.err, gzip.ErrChecksum), errors.Is(e.err, zstd.ErrCRCMismatch):
		return e.encoding + ": a checksum does not match, so the lines above may be wrong"
	}
	return e.encoding + ": " + e.err.Error()
}

func (e *unpackError) Unwrap() error { return logs.ErrDamaged }

// cause is archive.Cause, also of compressed uploads.
func cause(err error) string {
	if bad, ok := errors.AsType[*unpackError](err); ok {
		return bad.Error()
	}
	return archive.Cause(err)
}

// report logs damage, once per opened log.
func (c *Content) report(err error) {
	if c.reported {
		return
	}
	c.reported = true
	c.log.Warn("a stored log is damaged; its readers get what can be read", "account", c.id.Account, "key", c.id.Key, "error", err)
}

// mark returns the batch in place of count damaged lines from first on, or of
// the rest of the log if count is negative.
func (c *Content) mark(first, count int64, err error) *logs.Batch {
	c.report(err)
	return logs.NewDamage(first, count, cause(err), c.Modified)
}

// marked reads a log of unknown size up to its damage, which becomes its last
// line.
type marked struct {
	io.ReadCloser
	content *Content
	damaged func(error)
	lines   int64 // line breaks so far
	last    byte
	mark    []byte // not yet returned
	ended   bool   // mark is all that is left
}

func (m *marked) Read(p []byte) (int, error) {
	if !m.ended {
		n, err := m.ReadCloser.Read(p)
		if n > 0 {
			m.lines += int64(bytes.Count(p[:n], []byte{'\n'}))
			m.last = p[n-1]
		}
		if errors.Is(err, io.EOF) && m.content.damage != nil {
			err = m.content.damage
		}
		if !isDamage(err) {
			return n, err
		}
		m.end(err)
		if n > 0 {
			return n, nil
		}
	}
	if len(m.mark) == 0 {
		return 0, io.EOF
	}
	n := copy(p, m.mark)
	m.mark = m.mark[n:]
	return n, nil
}

// end makes the mark the next line.
func (m *marked) end(err error) {
	m.ended = true
	m.damaged(err)
	if m.last != '\n' && m.last != 0 {
		m.lines++
		m.mark = []byte{'\n'}
	}
	m.mark = append(m.mark, m.content.mark(m.lines+1, -1, err).Data...)
}
