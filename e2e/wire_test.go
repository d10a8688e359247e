package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// wire is a minimal client of its own: it does not use package client, so that a
// mistake there cannot hide on both sides.
type wire struct {
	url     string
	account string
	http    *http.Client
}

func newWire(url string) *wire {
	// The limit is one of answers, headers and body, except of tails: those
	// have a client without it.
	return &wire{url: url, account: "acc", http: &http.Client{
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
		Timeout:   20 * time.Second,
	}}
}

// answer is a status with what came along.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (a answer) String() string {
	return fmt.Sprintf("%d %s", a.status, bytes.TrimSpace(a.body[:min(len(a.body), 300)]))
}

// call sends one request; query is added to accountID and key.
func (w *wire) call(ctx context.Context, method, path, key, query string, body []byte) (answer, error) {
	u := w.url + path + "?accountID=" + url.QueryEscape(w.account) + "&key=" + key
	if query != "" {
		u += "&" + query
	}
	req, err := http.NewRequestWithContext(ctx, method, u, bytes.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode, header: resp.Header}
	a.body, err = io.ReadAll(resp.Body)
	return a, err
}

// retryPause is how long a client waits before it tries again.
const retryPause = 5 * time.Millisecond

// persist is call with the retries of real clients: it resends the identical request
// on lost connections and 5xx until ctx ends. retried reports whether it did.
func (w *wire) persist(ctx context.Context, method, path, key, query string, body []byte) (a answer, retried bool, err error) {
	for {
		a, err = w.call(ctx, method, path, key, query, body)
		if err == nil && (a.status < 500 || a.status == http.StatusNotImplemented) {
			return a, retried, nil
		}
		retried = true
		select {
		case <-ctx.Done():
			return a, retried, fmt.Errorf("%s %s: %w (last: %v %w)", method, key, context.Cause(ctx), a, err)
		case <-time.After(retryPause):
		}
	}
}

func (w *wire) open(ctx context.Context, key string) error {
	a, _, err := w.persist(ctx, http.MethodPost, "/stream", key, "", nil)
	return want(a, err, http.StatusNoContent)
}

// push appends lines (JSON objects) and returns the next sequence.
func (w *wire) push(ctx context.Context, key, query string, lines []string) (next int64, err error) {
	body := []byte("[" + strings.Join(lines, ",") + "]")
	a, _, err := w.persist(ctx, http.MethodPut, "/stream", key, query, body)
	if err := want(a, err, http.StatusNoContent); err != nil {
		return 0, err
	}
	return strconv.ParseInt(a.header.Get("X-Log-Next-Sequence"), 10, 64)
}

// close ends a log. If a retry finds no stream, an earlier attempt has closed it.
func (w *wire) close(ctx context.Context, key, query string) error {
	a, retried, err := w.persist(ctx, http.MethodDelete, "/stream", key, query, nil)
	if err == nil && retried && a.status == http.StatusNotFound {
		return nil
	}
	return want(a, err, http.StatusNoContent)
}

// archive reads a finished log, waiting until it is archived.
func (w *wire) archive(ctx context.Context, key string) ([]byte, error) {
	for {
		a, _, err := w.persist(ctx, http.MethodGet, "/blob", key, "", nil)
		if err != nil || a.status != http.StatusNotFound {
			return a.body, want(a, err, http.StatusOK)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("archive of %s: %w", key, context.Cause(ctx))
		case <-time.After(retryPause):
		}
	}
}

func want(a answer, err error, status int) error {
	if err == nil && a.status != status {
		err = fmt.Errorf("got %v, want %d", a, status)
	}
	return err
}

// tailer follows a log across connections, resuming after the last complete event.
type tailer struct {
	wire *wire
	key  string
	// line is called once per line; an error ends the tail. It must not keep json.
	line func(seq int64, json []byte) error

	last  int64 // the sequence of the last line
	conns int   // number of connections so far
}

// run reads until the log ends.
func (t *tailer) run(ctx context.Context) error {
	tail := http.Client{Transport: t.wire.http.Transport}
	for {
		err := t.connection(ctx, &tail)
		var bad *protocolError
		switch {
		case errors.Is(err, errEnd):
			return nil
		case errors.As(err, &bad), errors.Is(err, errGone), ctx.Err() != nil:
			return fmt.Errorf("tail of %s after %d: %w", t.key, t.last, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryPause):
		}
	}
}

var (
	errEnd  = errors.New("end of log")
	errGone = errors.New("the log is gone")
)

// protocolError reports a response that violates the protocol.
type protocolError struct{ msg string }

func (e *protocolError) Error() string { return e.msg }

func wrong(format string, args ...any) error { return &protocolError{fmt.Sprintf(format, args...)} }

// connection returns why the connection ended; the error is never nil.
func (t *tailer) connection(ctx context.Context, c *http.Client) error {
	u := t.wire.url + "/stream?accountID=" + url.QueryEscape(t.wire.account) + "&key=" + t.key
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, nil)
	if err != nil {
		return wrong("%v", err)
	}
	if t.last > 0 {
		req.Header.Set("Last-Event-ID", strconv.FormatInt(t.last, 10))
	}
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	t.conns++
	switch {
	case resp.StatusCode >= 500:
		return fmt.Errorf("status %d", resp.StatusCode)
	case resp.StatusCode != http.StatusOK:
		return wrong("status %d", resp.StatusCode)
	case resp.Header.Get("X-Log-State") == "unknown":
		return errGone
	}
	return t.events(bufio.NewReaderSize(resp.Body, 64<<10))
}

// events reads events. An incomplete one is ignored.
func (t *tailer) events(in *bufio.Reader) error {
	var id, name string
	var data, long []byte // reused
	some := false         // data came since the last event
	for {
		row, err := in.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			long = append(long[:0], row...)
			row, err = in.ReadBytes('\n')
			row = append(long, row...)
		}
		if err != nil {
			return err
		}
		field, value, _ := bytes.Cut(row[:len(row)-1], []byte(": "))
		switch string(field) {
		case "id":
			id = string(value)
		case "event":
			name = string(value)
		case "data":
			data = append(data[:0], value...)
			some = true
		case "retry": // the server cannot serve it now, and ends the response
		case "":
			if len(value) > 0 || !some {
				continue // a comment, or the end of one
			}
			if name == "error" && string(data) == "eof" {
				return errEnd
			}
			if err := t.event(id, name, data); err != nil {
				return err
			}
			id, name, some = "", "", false
		default:
			return wrong("a row that no event has: %.200q", row)
		}
	}
}

func (t *tailer) event(id, name string, data []byte) error {
	seq, err := strconv.ParseInt(id, 10, 64)
	switch {
	case err != nil || name != "":
		return wrong("event of id %q and name %q: %.200q", id, name, data)
	case seq != t.last+1:
		return wrong("line %d where line %d should come: %.200q", seq, t.last+1, data)
	}
	t.last = seq
	return t.line(seq, data)
}
