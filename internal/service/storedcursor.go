package service

import (
	"context"
	"errors"
	"io"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
)

// follow returns a cursor over an attempt of id as stored, after the line after.
// It is one of damage alone if nothing can be opened.
func (s *storedLogs) follow(ctx context.Context, id logservice.ID, attempt, after int64) (*storedCursor, error) {
	content, err := s.open(ctx, id, attempt)
	if isDamage(err) {
		content, err = &Content{Attempt: attempt, Size: -1, damage: err, id: id, log: s.log}, nil
	}
	if err != nil {
		return nil, err
	}
	c := content.cursorAfter(after)
	c.owns = true
	return c, nil
}

// cursor returns a cursor over the lines of c, which stays open; damage in it is
// an error. (A copy of what can be read would replace what may be repaired.)
func (c *Content) cursor(context.Context) (logs.Cursor, error) {
	x := c.cursorAfter(0)
	x.strict = true
	return x, nil
}

// marked is cursor, but damage is marked.
func (c *Content) marked(context.Context) (logs.Cursor, error) { return c.cursorAfter(0), nil }

func (c *Content) cursorAfter(after int64) *storedCursor {
	x := &storedCursor{content: c, after: after, first: 1}
	if c.archive != nil {
		x.runs = c.archive.Cursor(after)
	}
	return x
}

// storedCursor is a Reader over a blob. After Rewind it holds
// nothing of the content until the next Next.
type storedCursor struct {
	content *Content
	owns    bool // it closes the content
	strict  bool // damage is an error, and not a mark
	after   int64

	runs *archive.Cursor // of an archive

	plain *archive.Plain // of a client's own blob; nil: not open
	body  io.Closer      // that plain reads
	// Where plain is opened: after offset bytes, with the line of sequence first.
	offset, first int64

	ended bool // the rest is damaged, and its mark was returned
}

// Next implements Cursor.
func (c *storedCursor) Next(ctx context.Context) ([]*logs.Batch, error) {
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
		return nil, err
	}
	c.after = b.Last()
	return []*logs.Batch{b}, nil
}

// damaged returns the batch in place of lines that cannot be read. In an
// archive, the lines after them follow; of other blobs nobody knows which
// sequences those have, so the log ends there.
func (c *storedCursor) damaged(err error) (*logs.Batch, error) {
	if c.runs != nil {
		first, count := c.runs.Skip()
		return c.content.mark(first, count, err), nil
	}
	first := c.first
	if c.plain != nil {
		first = c.plain.Sequence()
	}
	if c.ended || first == c.after { // a reader that comes back has it already
		return nil, io.EOF
	}
	c.ended = true
	// A reader that was past it read these lines before they were damaged.
	return c.content.mark(max(first, c.after+1), -1, err), nil
}

// nextPlain returns the next batch of a client's own blob that has lines past
// the cursor, these only.
func (c *storedCursor) nextPlain(ctx context.Context) (*logs.Batch, error) {
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
		if err != nil || b.First > c.after {
			return b, err
		}
		if b.Last() > c.after {
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
	c.ended = c.ended && after >= c.after
	c.after = min(c.after, after)
	if c.runs != nil {
		c.runs.Rewind(c.after)
		return
	}
	if c.plain != nil {
		c.offset, c.first = c.plain.Mark()
		c.closePlain()
	}
}

func (c *storedCursor) closePlain() {
	if c.plain != nil {
		_ = c.body.Close() // read only: nothing can be lost
		c.plain, c.body = nil, nil
	}
}

// Ready implements Cursor: nobody waits for lines of a stored log.
func (c *storedCursor) Ready() <-chan struct{} { return always }

// Close implements Cursor.
func (c *storedCursor) Close() {
	c.closePlain()
	var err error
	if c.runs != nil {
		err = c.runs.Close()
	}
	if c.owns {
		err = errors.Join(err, c.content.Close())
	}
	_ = err // read only: nothing can be lost
}

var always = func() chan struct{} { c := make(chan struct{}); close(c); return c }()
