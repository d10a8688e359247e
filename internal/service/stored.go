package service

import (
	"bytes"
	"context"
	"errors"
	"io"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
)

// followStored returns a cursor after the line after of what is stored of id.
func (s *Service) followStored(ctx context.Context, id logservice.ID, after int64) (*storedCursor, error) {
	content, err := s.openStored(ctx, id)
	if err != nil {
		return nil, err
	}
	c := &storedCursor{content: content, after: after, first: 1}
	if content.archive != nil {
		c.runs = content.archive.Runs(after)
	}
	return c, nil
}

// storedCursor is a Reader over a blob. Once it is put back it holds nothing of
// the blob's content until the next Next.
type storedCursor struct {
	content *Content
	after   int64

	runs *archive.Runs // of an archive

	plain *archive.Plain // of a client's own blob; nil: not open
	body  io.Closer      // that plain reads
	// Where plain is opened: after offset bytes, with the line of sequence first.
	offset, first int64
}

// Next implements Cursor.
func (c *storedCursor) Next(ctx context.Context) ([]*logs.Batch, error) {
	read := c.nextPlain
	if c.runs != nil {
		read = c.runs.Next
	}
	r, err := read(ctx)
	if err != nil {
		return nil, err
	}
	b := &logs.Batch{First: r.First, Count: r.Count, Data: r.Data, Gap: r.Gap}
	c.after = b.Last()
	return []*logs.Batch{b}, nil
}

// nextPlain returns the next run of a client's own blob that has lines past
// the cursor, these only.
func (c *storedCursor) nextPlain(ctx context.Context) (archive.Run, error) {
	if c.plain == nil {
		body, err := c.content.Range(ctx, c.offset, -1)
		if err != nil {
			return archive.Run{}, err
		}
		c.body, c.plain = body, archive.NewPlainAt(body, c.content.Modified, c.offset, c.first)
	}
	for {
		if err := ctx.Err(); err != nil {
			return archive.Run{}, err
		}
		r, err := c.plain.Next()
		if err != nil || r.First > c.after {
			return r, err
		}
		skip := c.after + 1 - r.First
		if skip >= r.Count {
			continue
		}
		for range skip {
			r.Data = r.Data[bytes.IndexByte(r.Data, '\n')+1:]
		}
		r.First, r.Count = r.First+skip, r.Count-skip
		return r, nil
	}
}

// Rewind implements Reader.
func (c *storedCursor) Rewind(after int64) {
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

// Ready implements Cursor: a stored log never lets anybody wait.
func (c *storedCursor) Ready() <-chan struct{} { return always }

var always = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// Close implements Cursor.
func (c *storedCursor) Close() {
	c.closePlain()
	var err error
	if c.runs != nil {
		err = c.runs.Close()
	}
	_ = errors.Join(err, c.content.Close()) // read only: nothing can be lost
}
