package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	logservice "github.com/harness/log-service"
)

// Finished is the content of a finished log, returned by Download.
type Finished struct {
	io.ReadCloser
	// Incomplete reports that the server ended the log because its writer went
	// silent; lines may be missing at the end.
	Incomplete bool
}

// finishedBody reads a finished log. It detects whether the log is damaged.
type finishedBody struct {
	io.ReadCloser
	client *Client
	ctx    context.Context //nolint:containedctx // that of the body
	key    logservice.Key
	at     int64 // in the log

	line   []byte // the beginning of the current line
	inside bool   // the line is of no interest
	damage error  // what the lines say
}

// markStart is how servers begin a line in place of lines that are gone, and
// maxMark is the most of it that is examined.
const (
	markStart = `{"gap":{"first":`
	maxMark   = 2 << 10
)

func (b *finishedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.at += int64(n)
	b.scan(p[:n])
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		b.endLine()
		if b.damage != nil {
			err = b.damage
		}
		return n, err
	}
	return n, b.explain(err)
}

// explain reports damage in place of err if it is why the response ended early. The
// bytes of an upload are never mixed with others, so the server cannot report it there;
// it does if the rest is requested.
func (b *finishedBody) explain(err error) error {
	if b.ctx.Err() != nil {
		return err
	}
	k := b.client.keyCall("download", http.MethodGet, "/blob", string(b.key))
	k.header = http.Header{"Accept-Encoding": {"identity"}, "Range": {fmt.Sprintf("bytes=%d-", b.at)}}
	resp, again := b.client.send(b.ctx, k)
	if again == nil {
		_ = resp.Body.Close()
	}
	if errors.Is(again, logservice.ErrDamaged) {
		return again
	}
	return err
}

// scan searches for a mark in the next bytes of the log.
func (b *finishedBody) scan(p []byte) {
	for len(p) > 0 {
		part, rest, ended := bytes.Cut(p, []byte{'\n'})
		p = rest
		if want := markStart[min(len(b.line), len(markStart)):]; !b.inside && b.damage == nil {
			n := min(len(part), len(want))
			if b.inside = string(part[:n]) != want[:n]; !b.inside {
				b.line = append(b.line, part[:min(len(part), maxMark-len(b.line))]...)
			}
		}
		if ended {
			b.endLine()
		}
	}
}

// endLine decides whether the current line is a mark.
func (b *finishedBody) endLine() {
	var l struct {
		Gap *logservice.Gap `json:"gap"`
	}
	// Where the mark takes the place of many bytes, spaces follow it.
	if !b.inside && b.damage == nil && json.NewDecoder(bytes.NewReader(b.line)).Decode(&l) == nil && l.Gap != nil && l.Gap.Damage != "" {
		b.damage = fmt.Errorf("download %s: %w", b.key, lost(*l.Gap))
	}
	b.line, b.inside = b.line[:0], false
}
