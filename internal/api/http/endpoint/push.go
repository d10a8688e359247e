package endpoint

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/lines"
	"github.com/harness/log-service/internal/logs"
)

// Push appends the body to the open stream of l: a JSON array of lines, or what
// its content type names. The answer has the next sequence.
func (a *API) Push(c *Call, l Log) error {
	id := l.ID()
	offset, err := c.Query.Sequence("offset", 1)
	if err != nil {
		return err
	}
	f := formatOf(c.Request)
	if c.Request.ContentLength < 0 && c.Request.Header.Get("Content-Encoding") == "" {
		if f != array {
			return a.pushArriving(c, id, f, offset)
		}
		if err := a.beginsArray(c); err != nil {
			return err
		}
	}
	b, err := a.bodies.read(c, id.Account)
	if err != nil {
		return err
	}
	defer b.release()
	batch, err := a.parse(c, id, f, &b, offset)
	if err != nil {
		return err
	}
	batch.Offset = offset
	next, err := a.service.Append(c.Request.Context(), id, batch)
	if err != nil {
		return notOpen(err)
	}
	c.nextSequence(next)
	return c.NoContent()
}

func (c *Call) nextSequence(next int64) {
	c.Header()[logservice.HeaderNextSequence] = []string{strconv.FormatInt(next, 10)}
}

func (a *API) parse(c *Call, id logservice.ID, f format, b *body, offset int64) (logs.Lines, error) {
	switch f {
	case jsonLines:
		return lines.NDJSON(b.data, a.maxLine)
	case text:
		return a.parseText(c, id, b, offset)
	}
	empty := len(b.data) == 0
	batch, err := lines.Array(b.data, a.maxLine)
	if errors.Is(err, logservice.ErrInvalid) && !empty {
		err = noArray(err.Error())
	}
	return batch, err
}

// noArray refuses a body that is no array of lines, and names the content types
// of other bodies. Clients such as curl send text under a type of their own.
func noArray(msg string) error {
	return &statusError{status: http.StatusBadRequest, reason: "invalid", msg: msg,
		hint: "for text, send the header Content-Type: text/plain; for JSON lines, Content-Type: application/x-ndjson", cause: logservice.ErrInvalid}
}

// beginsArray refuses a body of unknown length that does not begin like an array:
// its end may be far away.
func (a *API) beginsArray(c *Call) error {
	r := bufio.NewReaderSize(c.Request.Body, maxEmpty)
	a.bodies.extend(http.NewResponseController(c.ResponseWriter))
	c.Request.Body = struct {
		io.Reader
		io.Closer
	}{r, c.Request.Body}
	for n := 1; n <= maxEmpty; n++ {
		head, err := r.Peek(n)
		if err != nil {
			return nil // reading the body reports it
		}
		switch first := head[n-1]; {
		case strings.IndexByte(" \t\r\n\xef\xbb\xbf", first) >= 0:
		case first == '[', first == 'n':
			return nil
		default:
			return noArray(fmt.Sprintf("invalid JSON at byte %d: %q where '[' of an array of lines should be", n-1, first))
		}
	}
	return nil
}

// parseText makes lines of plain text. Their positions continue those of the
// stream; concurrent writers may use the same ones, like any two writers.
func (a *API) parseText(c *Call, id logservice.ID, b *body, offset int64) (logs.Lines, error) {
	next := offset
	if next == 0 {
		var err error
		if next, err = a.service.Next(c.Request.Context(), id); err != nil {
			return logs.Lines{}, notOpen(err)
		}
	}
	o := lines.TextOptions{
		Level:    c.Query.Get("level"),
		Pos:      next - 1,
		Time:     time.Now(),
		MaxLine:  a.maxLine,
		MaxBytes: int(a.bodies.max),
	}
	// Short lines of text grow several times over: that memory counts as well.
	size := min(lines.TextSize(b.data, o), a.bodies.max)
	if err := b.hold(c.Request.Context(), size); err != nil {
		return logs.Lines{}, err
	}
	return lines.Text(b.data, o)
}

// notOpen gives an append to a stream that is not open the status that runners
// expect: 400.
func notOpen(err error) error {
	if errors.Is(err, logservice.ErrStreamNotFound) {
		return &statusError{status: http.StatusBadRequest, reason: "stream_not_found", cause: err,
			msg: logservice.ErrStreamNotFound.Error(), hint: "open the stream first"}
	}
	return err
}

// format is the form of a body with lines.
type format uint8

const (
	array format = iota // a JSON array of lines, for every content type without a form of its own
	jsonLines
	text
)

// formatOf returns the form that the content type names.
func formatOf(r *http.Request) format {
	switch mediaType(r.Header.Get("Content-Type")) {
	case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonl",
		"application/jsonlines", "application/x-jsonlines", "application/json-lines":
		return jsonLines
	case "text/plain":
		return text
	}
	return array
}

// mediaType is a content type without its parameters, lower case.
func mediaType(s string) string {
	switch s {
	case "", "application/json", "application/x-ndjson", "text/plain":
		return s
	}
	if t, _, err := mime.ParseMediaType(s); err == nil {
		return t
	}
	t, _, _ := strings.Cut(s, ";")
	return strings.ToLower(strings.TrimSpace(t))
}
