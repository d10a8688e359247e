package endpoint

import (
	"errors"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/lines"
	"github.com/harness/log-service/internal/logs"
)

// Push appends the body to the open stream of id: a JSON array of lines
// whatever its content type, or lines in the formats application/x-ndjson and
// text/plain. The answer has the next sequence.
func (a *API) Push(c *Call, l Log) error {
	id := l.ID()
	offset, err := c.Query.Sequence("offset", 1)
	if err != nil {
		return err
	}
	b, err := a.bodies.read(c, id.Account)
	if err != nil {
		return err
	}
	defer b.release()
	batch, err := a.parse(c, id, &b, offset)
	if err != nil {
		return err
	}
	batch.Offset = offset
	next, err := a.service.Append(c.Request.Context(), id, batch)
	if err != nil {
		return notOpen(err)
	}
	c.Header()[logservice.HeaderNextSequence] = []string{strconv.FormatInt(next, 10)}
	return c.NoContent()
}

func (a *API) parse(c *Call, id logservice.ID, b *body, offset int64) (logs.Lines, error) {
	switch mediaType(c.Request) {
	case "application/x-ndjson":
		return lines.NDJSON(b.data, a.maxLine)
	case "text/plain":
		return a.parseText(c, id, b, offset)
	}
	return lines.Array(b.data, a.maxLine)
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

// mediaType is the content type without its parameters, lower case.
func mediaType(r *http.Request) string {
	s := r.Header.Get("Content-Type")
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
