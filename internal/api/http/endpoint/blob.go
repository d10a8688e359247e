package endpoint

import (
	"context"
	"io"
	"net/http"
	"strconv"
	"strings"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/service"
)

// Upload stores the body as the log of l, byte for byte after decoding its
// Content-Encoding; append=true appends it to what is stored.
func (a *API) Upload(c *Call, l Log) error {
	add, _, err := c.Query.Bool("append")
	if err != nil {
		return err
	}
	if err := a.store(c, l, add); err != nil {
		return err
	}
	return c.NoContent()
}

func (a *API) store(c *Call, l Log, add bool) error {
	encoding, err := encodingOf(c.Request)
	if err != nil {
		return err
	}
	rc := http.NewResponseController(c.ResponseWriter)
	body := &steady{r: c.Request.Body, rc: rc, stall: a.stall}
	defer a.auth.OnRevoked(c.grant(), body.revoke)()
	r, err := a.bodies.decoders.open(encoding, body)
	if err != nil {
		r.Close()
		return err
	}
	defer r.Close()
	return a.service.PutBlob(c.Request.Context(), l.ID(), &atMost{r: r, left: a.upload, most: a.upload}, add)
}

// atMost rejects a body that exceeds its limit while it is read: the
// decompressed size is not known before.
type atMost struct {
	r          io.Reader
	left, most int64
}

func (m *atMost) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	if m.left -= int64(n); m.left < 0 {
		return 0, logservice.Errorf(logservice.ErrTooLarge, "upload too large: at most %d bytes, decompressed", m.most)
	}
	return n, err
}

// Download answers with the stored log of l as plain text: all of it, a range,
// or in its stored encoding if the client accepts that. Damaged lines are
// replaced as in service.Content.Readable. With format=raw a
// compressed upload stays compressed.
func (a *API) Download(c *Call, l Log) error {
	ctx := c.Request.Context()
	attempt, err := c.Query.Sequence("attempt", 1)
	if err != nil {
		return err
	}
	content, err := a.service.Blob(ctx, l.ID(), attempt)
	if err != nil {
		return err
	}
	defer content.Close()
	h := c.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	Harmless(h)
	h.Set(logservice.HeaderState, content.State())
	if content.Attempt > 1 {
		h.Set(logservice.HeaderAttempt, strconv.FormatInt(content.Attempt, 10))
	}
	if !content.Modified.IsZero() {
		h.Set("Last-Modified", content.Modified.UTC().Format(http.TimeFormat))
	}
	if content.Encoding != "" {
		h.Add("Vary", "Accept-Encoding")
	}
	if content.Size >= 0 {
		h.Set("Accept-Ranges", "bytes")
	}
	if c.Query.Get("format") == "raw" && content.Encoding != "" && !content.Archive { // the file itself, not an encoding of it
		r, size, err := content.Stored(ctx)
		if err != nil {
			return err
		}
		h.Set("Content-Type", "application/octet-stream")
		h.Del("Accept-Ranges")
		return a.send(c, http.StatusOK, r, size)
	}
	part, err := rangeOf(c.Request, content)
	if err != nil {
		return err
	}
	if content.Encoding != "" && !part.given && accepts(c.Request, content.Encoding) {
		r, size, err := content.Stored(ctx)
		if err != nil {
			return err
		}
		h.Set("Content-Encoding", content.Encoding)
		return a.send(c, http.StatusOK, r, size)
	}
	return a.sendRange(ctx, c, content, part)
}

func (a *API) sendRange(ctx context.Context, c *Call, content *service.Content, part byteRange) error {
	status := http.StatusOK
	if part.given {
		status = http.StatusPartialContent
		c.Header().Set("Content-Range", "bytes "+strconv.FormatInt(part.first, 10)+"-"+
			strconv.FormatInt(part.first+part.length-1, 10)+"/"+strconv.FormatInt(content.Size, 10))
	}
	if c.Request.Method == http.MethodHead {
		return a.send(c, status, nil, part.length)
	}
	length := part.length
	if !part.given {
		length = -1
	}
	r, err := content.Readable(ctx, part.first, length)
	if err != nil {
		return err
	}
	return a.send(c, status, r, r.Size)
}

// send answers with size bytes of r, or all if size is negative, and closes r.
func (a *API) send(c *Call, status int, r io.ReadCloser, size int64) error {
	if r != nil {
		defer r.Close()
	}
	if size >= 0 {
		c.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	}
	c.WriteHeader(status)
	if c.Request.Method == http.MethodHead {
		return nil
	}
	w := a.paced(c)
	n, err := io.Copy(&w, r)
	if err == nil && size >= 0 && n != size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		_ = w.flush() // send what could be read
	}
	w.done()
	return Aborted(err)
}

// Exists answers true or false.
func (a *API) Exists(c *Call, l Log) error {
	found, err := a.service.BlobExists(c.Request.Context(), l.ID())
	if err != nil {
		return err
	}
	return c.Text(strconv.FormatBool(found))
}

// Delete deletes the stored log of l.
func (a *API) Delete(c *Call, l Log) error {
	if err := a.service.DeleteBlob(c.Request.Context(), l.ID()); err != nil {
		return err
	}
	return c.NoContent()
}

// DeleteUnder deletes the stored logs of t.
func (a *API) DeleteUnder(c *Call, t Tree) error {
	if _, err := a.service.DeleteBlobs(c.Request.Context(), t.ID().Account, t.ID().Key); err != nil {
		return err
	}
	return c.NoContent()
}

// byteRange is the part of a log that a request selects.
type byteRange struct {
	given         bool
	first, length int64 // length negative: to the end
}

// rangeOf reads the Range header (RFC 9110, 14.2). One range of a log of known
// size is served; anything else counts as no range, which is always permitted.
func rangeOf(r *http.Request, content *service.Content) (byteRange, error) {
	size := content.Size
	all := byteRange{length: size}
	spec, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes=")
	if !ok || size < 0 || strings.Contains(spec, ",") {
		return all, nil
	}
	if v := r.Header.Get("If-Range"); v != "" && v != content.Modified.UTC().Format(http.TimeFormat) {
		return all, nil
	}
	from, to, ok := strings.Cut(strings.TrimSpace(spec), "-")
	first, last, err := bounds(from, to, size)
	if !ok || err != nil || last < first {
		return all, nil
	}
	if first >= size {
		return all, &statusError{status: http.StatusRequestedRangeNotSatisfiable, reason: "range", msg: "the log ends before the range",
			name: "Content-Range", value: "bytes */" + strconv.FormatInt(size, 10)}
	}
	return byteRange{given: true, first: first, length: min(last, size-1) - first + 1}, nil
}

func bounds(from, to string, size int64) (first, last int64, err error) {
	if from == "" { // the last n bytes
		n, err := strconv.ParseUint(to, 10, 63)
		if n == 0 {
			return size, size, err
		}
		return max(size-int64(n), 0), size, err
	}
	n, err := strconv.ParseUint(from, 10, 63)
	if err != nil || to == "" {
		return int64(n), 1<<63 - 1, err
	}
	m, err := strconv.ParseUint(to, 10, 63)
	return int64(n), int64(m), err
}

// accepts reports whether a request accepts a content coding by name. A * does
// not count: few clients that send it can decode zstd.
func accepts(r *http.Request, coding string) bool {
	for _, field := range r.Header.Values("Accept-Encoding") {
		for item := range strings.SplitSeq(field, ",") {
			name, weight, _ := strings.Cut(strings.TrimSpace(item), ";")
			if !strings.EqualFold(strings.TrimSpace(name), coding) {
				continue
			}
			q, found := strings.CutPrefix(strings.TrimSpace(weight), "q=")
			value, err := strconv.ParseFloat(q, 64)
			return !found || (err == nil && value > 0)
		}
	}
	return false
}
