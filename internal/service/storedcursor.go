package service

import (
	"container/list"
	"context"
	"errors"
	"io"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
)

// follow returns a cursor over an attempt of id as stored, after the line
// after. It has only a mark if nothing can be opened.
func (s *storedLogs) follow(ctx context.Context, id logservice.ID, attempt, after int64) (*storedCursor, error) {
	content, err := s.open(ctx, id, attempt)
	if isDamage(err) {
		content, err = &Content{Attempt: attempt, Size: -1, damage: err, id: id, log: s.log}, nil
	}
	if err != nil {
		return nil, err
	}
	content.forget()
	c := content.cursorAfter(after)
	c.owns, c.reads = true, &s.paused
	return c, nil
}

// cursor returns a cursor over the lines of c, which stays open; damage in it
// is an error. (A copy without the damaged part would replace what may be
// repaired.)
func (c *Content) cursor(context.Context) (logs.Cursor, error) {
	x := c.cursorAfter(0)
	x.strict = true
	return x, nil
}

// marked is like cursor, but replaces damage by marks.
func (c *Content) marked(context.Context) (logs.Cursor, error) { return c.cursorAfter(0), nil }

func (c *Content) cursorAfter(after int64) *storedCursor {
	x := &storedCursor{content: c, after: after, first: 1, reads: new(pausedReads)}
	if c.archive != nil {
		x.runs = c.archive.Cursor(after)
	}
	return x
}

// storedCursor is a Reader over a blob. From Rewind or Ready until the next Next
// it holds what it reads with only as one of the paused reads.
type storedCursor struct {
	content *Content
	owns    bool // it closes the content
	strict  bool // damage is an error, and not a mark
	after   int64

	runs *archive.Cursor // of an archive

	plain *archive.Plain // of a client's own blob; nil: not open
	body  io.Closer      // that plain reads
	last  *logs.Batch    // of plain, for Rewind
	// Where plain is opened: after offset bytes, with the line of sequence first.
	offset, first int64

	reads  *pausedReads
	paused *list.Element // of reads; guarded by its mu
	holds  bool          // what it reads with

	ended bool // the rest is damaged, and its mark was returned
}

// Next implements Cursor.
func (c *storedCursor) Next(ctx context.Context) ([]*logs.Batch, error) {
	c.reads.resume(c)
	c.holds = true
	read := c.nextPlain
	if c.runs != nil {
		read = c.runs.Next
	}
	b, err := read(ctx)
	if errors.Is(err, io.EOF) && c.content.damage != nil {
		err = c.content.damage
	}
	if isDamage(err) && !c.strict {
		b, err = c.damaged(err)
	}
	if err != nil {
		c.release() // the peer may take long to read the end mark
		return nil, err
	}
	c.after = b.Last()
	return []*logs.Batch{b}, nil
}

// damaged returns the batch in place of lines that cannot be read. In an
// archive, the lines after them follow; of other blobs the sequences after them
// are unknown, so the log ends there.
func (c *storedCursor) damaged(err error) (*logs.Batch, error) {
	if c.runs != nil {
		first, count := c.runs.Skip()
		return c.content.mark(first, count, err), nil
	}
	first := c.first
	if c.plain != nil {
		first = c.plain.Sequence()
	}
	if c.ended || first == c.after { // a reader that resumes has it already
		return nil, io.EOF
	}
	c.ended = true
	// A reader past this point read these lines before they were damaged.
	return c.content.mark(max(first, c.after+1), -1, err), nil
}

// nextPlain returns the next lines past the cursor of a client's own blob.
func (c *storedCursor) nextPlain(ctx context.Context) (*logs.Batch, error) {
	if c.last != nil && c.last.Last() > c.after { // it was rewound
		return c.last.From(c.after + 1), nil
	}
	if c.plain == nil {
		body, err := c.content.Range(ctx, c.offset, -1)
		if err != nil {
			return nil, err
		}
		c.body, c.plain = body, archive.NewPlain(body, c.content.Modified, c.offset, c.first)
	}
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		b, err := c.plain.Next()
		if err != nil {
			return nil, err
		}
		if b.Last() > c.after {
			c.last = b
			return b.From(c.after + 1), nil
		}
	}
}

// Attempt implements Reader.
func (c *storedCursor) Attempt() int64 { return c.content.Attempt }

// First implements Reader.
func (c *storedCursor) First() int64 { return 1 }

// Rewind implements Reader.
func (c *storedCursor) Rewind(after int64) {
	c.reads.resume(c)
	c.ended = c.ended && after >= c.after
	c.after = min(c.after, after)
	switch {
	case c.runs != nil: // readers at the same position share what it has read
		c.release()
	case c.last != nil && c.after+1 < c.last.First: // before what plain has read last
		c.release()
		c.offset, c.first = 0, 1
	}
	c.reads.pause(c)
}

// Ready implements Cursor: nobody waits for lines of a stored log.
func (c *storedCursor) Ready() <-chan struct{} {
	c.reads.pause(c)
	return always
}

// release closes what c reads with. It is opened again by Next.
func (c *storedCursor) release() {
	c.holds = false
	if c.runs != nil {
		c.runs.Rewind(c.after)
	}
	if c.plain != nil {
		c.offset, c.first = c.plain.Mark()
		_ = c.body.Close() // read only: nothing can be lost
		c.plain, c.body, c.last = nil, nil, nil
	}
}

// weight is approximately the most that c holds, in bytes.
func (c *storedCursor) weight() int64 {
	const usual = 1 << 20 // a chunk of the store, what was read ahead, and a batch
	if c.content.packed == encodingZstd {
		return usual + maxWindow
	}
	return usual
}

// Close implements Cursor.
func (c *storedCursor) Close() {
	c.reads.resume(c)
	c.release()
	if c.owns {
		_ = c.content.Close() // read only: nothing can be lost
	}
}

var always = func() chan struct{} { c := make(chan struct{}); close(c); return c }()
