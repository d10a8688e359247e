package service

import (
	"bytes"
	"context"
	"errors"
	"io"

	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
)

// errNotClosed: the engine has not closed a stream that it reported as closed.
var errNotClosed = errors.New("the stream to be archived is not closed")

// packer is the archive of a closed stream as an io.Reader: it reads the
// cursor only as fast as it is read.
type packer struct {
	ctx   context.Context
	c     logs.Cursor
	claim logs.Claim
	w     *archive.Writer
	out   bytes.Buffer // archive bytes that are not read yet
	sum   logs.Summary
	ended bool // all is in out, and sum is set
	err   error
}

func newPacker(ctx context.Context, codec *archive.Codec, c logs.Cursor, claim logs.Claim, plain, incomplete bool) *packer {
	p := &packer{ctx: ctx, c: c, claim: claim}
	p.w = codec.NewWriter(&p.out)
	if plain {
		p.w = codec.NewPlainWriter(&p.out)
	}
	if incomplete {
		p.w.MarkIncomplete()
	}
	return p
}

func (p *packer) Read(b []byte) (int, error) {
	if err := p.fill(1); err != nil {
		return 0, err
	}
	return p.out.Read(b) // io.EOF when empty, and only then
}

// fill makes the archive until it ends or n bytes are ready.
func (p *packer) fill(n int) error {
	for p.err == nil && !p.ended && p.out.Len() < n {
		p.err = p.step()
	}
	return p.err
}

func (p *packer) step() (err error) {
	batches, err := p.c.Next(p.ctx)
	if errors.Is(err, io.EOF) {
		// What somebody stores who has taken the stream, or has taken over
		// from a service that was thought dead, must not be replaced.
		if p.claim != nil {
			if err := p.claim.Commit(p.ctx); err != nil {
				return err
			}
		}
		p.ended = true
		p.sum, err = p.w.Close()
		return err
	}
	if err == nil && len(batches) == 0 {
		err = errNotClosed
	}
	if err != nil {
		return err
	}
	for _, b := range batches {
		if err := p.w.Append(b); err != nil {
			return err
		}
	}
	return nil
}
