package service

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/harness/log-service/internal/logs"
)

// chained reads several cursors, one after the other.
type chained struct{ cursors []logs.Cursor }

// Next implements logs.Cursor.
func (c *chained) Next(ctx context.Context) ([]*logs.Batch, error) {
	for len(c.cursors) > 0 {
		batches, err := c.cursors[0].Next(ctx)
		if !errors.Is(err, io.EOF) || len(c.cursors) == 1 {
			return batches, err
		}
		c.cursors[0].Close()
		c.cursors = c.cursors[1:]
	}
	return nil, io.EOF
}

// Ready implements logs.Cursor.
func (c *chained) Ready() <-chan struct{} { return c.cursors[0].Ready() }

// Close implements logs.Cursor.
func (c *chained) Close() {
	for _, x := range c.cursors {
		x.Close()
	}
}

// comparison compares batches with the lines of a cursor, however these are
// split into batches.
type comparison struct {
	c    logs.Cursor
	rest []byte // of the lines of c
	more []*logs.Batch
}

func newComparison(c logs.Cursor) *comparison { return &comparison{c: c} }

// next reports whether the next lines of the cursor are those of b.
func (c *comparison) next(ctx context.Context, b *logs.Batch) (bool, error) {
	for data := b.Data; len(data) > 0; {
		for len(c.rest) == 0 {
			if len(c.more) == 0 {
				var err error
				c.more, err = c.c.Next(ctx)
				if errors.Is(err, io.EOF) {
					return false, nil
				}
				if err != nil {
					return false, err
				}
				continue
			}
			c.rest, c.more = c.more[0].Data, c.more[1:]
		}
		n := min(len(data), len(c.rest))
		if !bytes.Equal(data[:n], c.rest[:n]) {
			return false, nil
		}
		data, c.rest = data[n:], c.rest[n:]
	}
	return true, nil
}
