package endpoint

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/api"
)

const (
	// batchDelay is how long the rows of a body that is still arriving wait for
	// others: short for a person who watches, and long enough for a body that was
	// written at once to become one batch.
	batchDelay = 250 * time.Millisecond
	// batchBytes is how many bytes of rows are stored without waiting longer.
	batchBytes = 1 << 20
	// maxSilence is how long the writer of such a body may send nothing. TCP
	// detects a lost peer. After this time no stream is open any more.
	maxSilence = logservice.MaxTTL
	// partBytes is how much is read at a time. A silent writer holds twice as
	// much.
	partBytes = 4 << 10
)

// arriving is a body of unknown length whose rows are stored while it arrives: that
// of a program whose output is piped into curl. Each batch of rows is stored
// completely or not at all.
type arriving struct {
	api    *API
	call   *Call
	id     logservice.ID
	format format
	offset int64 // of the next row; zero if the client states none
	rows   rows
	body   body  // what has arrived and is not stored yet
	stored bool  // something was stored, or found to be empty
	end    error // of the body; of the goroutine that reads, until its channel is closed
	ended  bool  // that channel is closed
}

// pushArriving is Push for a body of text or JSON lines of unknown length.
func (a *API) pushArriving(c *Call, id logservice.ID, f format, offset int64) error {
	next, err := a.service.Next(c.Request.Context(), id)
	if err != nil {
		return notOpen(err)
	}
	c.nextSequence(next) // and after each batch, for the answer to a broken body
	w := &arriving{api: a, call: c, id: id, format: f, offset: offset, rows: rows{json: f == jsonLines}, body: body{from: a.bodies, account: id.Account}}
	defer func() { w.body.release() }()
	if err := w.run(); err != nil {
		return err
	}
	return c.NoContent()
}

// run stores rows until the body or the server ends.
func (w *arriving) run() error {
	parts, stop := w.read()
	defer stop()
	due := time.NewTimer(batchDelay)
	due.Stop()
	waiting := false
	for {
		select {
		case p, ok := <-parts:
			if !ok {
				return w.last()
			}
			if err := w.add(p); err != nil {
				return err
			}
			switch {
			case w.rows.end >= batchBytes:
				if err := w.store(w.rows.end); err != nil {
					return err
				}
			case w.rows.end > 0 && !waiting:
				waiting = true
				due.Reset(batchDelay)
			}
		case <-due.C:
			if waiting = false; w.rows.end == 0 {
				continue
			}
			if err := w.store(w.rows.end); err != nil {
				return err
			}
		case <-w.api.stop:
			return errors.Join(w.store(w.rows.end), api.ErrStopping)
		}
	}
}

// read reads the body in a goroutine, which stop ends and waits for. A part is valid
// until the next one is received. After the last one, w.end says why it was the last.
func (w *arriving) read() (parts <-chan []byte, stop func()) {
	rc := http.NewResponseController(w.call.ResponseWriter)
	out, stopped := make(chan []byte), make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() {
		defer close(out)
		var buffers [2][partBytes]byte
		for i := 0; ; i ^= 1 {
			_ = rc.SetReadDeadline(time.Now().Add(maxSilence))
			n, err := w.call.Request.Body.Read(buffers[i][:])
			if n > 0 {
				select {
				case out <- buffers[i][:n]:
				case <-stopped:
					return
				}
			}
			if err != nil {
				w.end = err
				return
			}
		}
	})
	return out, func() {
		close(stopped)
		if !w.ended {
			// The connection is not used again: what is left of the body is on it.
			w.call.Header().Set("Connection", "close")
			_ = rc.SetReadDeadline(time.Unix(1, 0)) // ends a read that waits
		}
		reading.Wait()
	}
}

// last stores what is left at the end of the body.
func (w *arriving) last() error {
	w.ended = true
	if !errors.Is(w.end, io.EOF) {
		return errors.Join(w.store(w.rows.end), connectionError(w.end))
	}
	w.call.took = true
	if len(w.body.data) == 0 && w.stored {
		return nil
	}
	return w.store(len(w.body.data))
}

// add adds a part that has arrived.
func (w *arriving) add(p []byte) error {
	size := len(w.body.data) + len(p)
	if int64(size) > w.body.from.max {
		return w.body.from.tooLarge()
	}
	if size > cap(w.body.data)-1 {
		if err := w.body.grow(w.call.Request.Context(), max(int64(size), min(2*int64(len(w.body.data)), w.body.from.max))); err != nil {
			return err
		}
	}
	w.body.data = append(w.body.data, p...)
	w.rows.scan(w.body.data)
	return nil
}

// store appends the first n bytes of what has arrived, whole rows.
func (w *arriving) store(n int) error {
	rest := w.body.data[n:]
	// A retry would not split the body in the same way, and it may be that the
	// request has ended: what has arrived is stored all the same.
	ctx := context.WithoutCancel(w.call.Request.Context())
	part := w.body
	part.data = w.body.data[:n:min(n+1, cap(w.body.data))]
	if len(rest) > 0 {
		part.data = w.body.data[:n:n]
	}
	batch, err := w.api.parse(w.call, w.id, w.format, &part, w.offset)
	w.body.from.budget.Put(w.body.account, part.held-w.body.held) // what the lines took: they are stored next
	if err != nil {
		return w.explain(err)
	}
	batch.Offset = w.offset
	next, err := w.api.service.Append(ctx, w.id, batch)
	if err != nil {
		return notOpen(err)
	}
	w.call.nextSequence(next)
	if w.stored = true; w.offset > 0 {
		w.offset += batch.Count
	}
	w.keep(rest)
	return nil
}

// explain says of an invalid body that a part of it is stored.
func (w *arriving) explain(err error) error {
	if !w.stored || !errors.Is(err, logservice.ErrInvalid) {
		return err
	}
	return &statusError{status: http.StatusBadRequest, reason: "invalid", cause: err, msg: err.Error() + ", counted from the end of the lines that are stored",
		hint: "the lines before are stored: " + logservice.HeaderNextSequence + " is the sequence of the next one"}
}

// keep frees what is stored, and keeps the rest.
func (w *arriving) keep(rest []byte) {
	w.rows.cut(len(w.body.data) - len(rest))
	if len(rest) == 0 {
		w.body.release()
		return
	}
	w.body.data = w.body.data[:copy(w.body.data, rest)]
}

// rows finds the end of the last whole row of what arrives: a line of text, or a
// line break between two JSON values.
type rows struct {
	json bool

	seen            int // bytes
	end             int // after the last whole row
	depth           int // of JSON
	quoted, escaped bool
}

// scan looks at what data has beyond what was seen.
func (r *rows) scan(data []byte) {
	if !r.json {
		if i := bytes.LastIndexByte(data[r.seen:], '\n'); i >= 0 {
			r.end = r.seen + i + 1
		}
		r.seen = len(data)
		return
	}
	for ; r.seen < len(data); r.seen++ {
		switch c := data[r.seen]; {
		case r.escaped:
			r.escaped = false
		case r.quoted:
			r.escaped, r.quoted = c == '\\', c != '"'
		case c == '"':
			r.quoted = true
		case c == '{' || c == '[':
			r.depth++
		case c == '}' || c == ']':
			r.depth--
		case c == '\n' && r.depth <= 0:
			r.end = r.seen + 1
		}
	}
}

// cut forgets the first n bytes.
func (r *rows) cut(n int) { r.seen, r.end = r.seen-n, r.end-n }
