package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client/internal/transport"
)

// overHTTP makes the calls on live logs over HTTP.
type overHTTP struct{ c *Client }

var _ transport.Transport = overHTTP{}

func (h overHTTP) Open(ctx context.Context, key string, o transport.Open) error {
	k := h.c.keyCall("open", http.MethodPost, "/stream", key)
	if o.TTL > 0 {
		k.query.Set("timeout_seconds", strconv.FormatInt(int64((o.TTL+time.Second-1)/time.Second), 10))
	}
	if o.Truncate {
		k.query.Set("truncate", "true")
	}
	_, err := h.once(ctx, k)
	return err
}

func (h overHTTP) Append(ctx context.Context, key string, b transport.Batch) (next int64, err error) {
	k := h.c.keyCall("append to", http.MethodPut, "/stream", key)
	k.header = http.Header{"Content-Type": {b.ContentType}}
	if b.Encoding != "" {
		k.header.Set("Content-Encoding", b.Encoding)
	}
	if b.Offset > 0 {
		k.query.Set("offset", strconv.FormatInt(b.Offset, 10))
	}
	k.body = bodyOf(b.Data)
	return h.once(ctx, k)
}

func (h overHTTP) Close(ctx context.Context, key string, o transport.Close) error {
	k := h.c.keyCall("close", http.MethodDelete, "/stream", key)
	if o.Snapshot != nil {
		k.query.Set("snapshot", strconv.FormatBool(*o.Snapshot))
	}
	if o.Under {
		k.query.Set("prefix", "true")
	}
	_, err := h.once(ctx, k)
	return err
}

func (h overHTTP) List(ctx context.Context, prefix string) (l transport.Listing, err error) {
	k := h.c.accountCall("info", http.MethodGet, "/stream/info")
	if prefix != "" {
		k.query.Set("prefix", prefix)
	}
	resp, err := h.c.send(ctx, k)
	if err != nil {
		return l, err
	}
	defer resp.Body.Close()
	var answer struct {
		Streams map[string]struct {
			Size        int64  `json:"size"`
			Bytes       int64  `json:"bytes"`
			Subscribers int    `json:"subscribers"`
			Attempt     int64  `json:"attempt"`
			TTL         string `json:"ttl"`
			Node        string `json:"node"`
		} `json:"streams"`
		Archiving struct {
			Waiting int `json:"waiting"`
			Failing int `json:"failing"`
		} `json:"archiving"`
	}
	if err := readAnswer(k, resp, &answer); err != nil {
		return l, err
	}
	l.Waiting, l.Failing = answer.Archiving.Waiting, answer.Archiving.Failing
	l.Streams = make([]transport.Info, 0, len(answer.Streams))
	for key, s := range answer.Streams {
		ttl, _ := time.ParseDuration(s.TTL) // for display; zero if the server uses another format
		l.Streams = append(l.Streams, transport.Info{
			Key: key, Attempt: s.Attempt, Lines: s.Size, Bytes: s.Bytes, Subscribers: s.Subscribers, TTL: ttl, Node: s.Node,
		})
	}
	return l, nil
}

// CloseIdle does nothing: calls on finished logs share the connections.
func (h overHTTP) CloseIdle() {}

// once makes one attempt of a call whose response has no body. It returns the next
// sequence, or zero if the response has none.
func (h overHTTP) once(ctx context.Context, k *call) (next int64, err error) {
	resp, err := h.c.send(ctx, k)
	if err != nil {
		return 0, err
	}
	drain(resp)
	return nextSequence(resp), nil
}

// readAnswer decodes a JSON response into v.
func readAnswer(k *call, resp *http.Response, v any) error {
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswerBytes)).Decode(v); err != nil {
		return fmt.Errorf("%s: reading the answer: %w", k.op, &logservice.UnavailableError{Cause: err})
	}
	return nil
}

// silence is when the connection of a tail counts as lost: an idle server sends a
// comment every 15 s, so three of them are missing.
const silence = 45 * time.Second

func (h overHTTP) Tail(ctx context.Context, key string, o transport.Tail) (transport.Reader, error) {
	k := h.c.keyCall("tail", http.MethodGet, "/stream", key)
	k.stall = silence
	k.header = http.Header{"Accept": {"text/event-stream"}}
	if o.After.Sequence > 0 {
		k.query.Set("after", o.After.String())
	}
	if o.Only {
		k.query.Set("attempt", strconv.FormatInt(o.After.Attempt, 10))
	}
	if o.Existing {
		k.query.Set("follow", "false")
	}
	resp, err := h.c.send(ctx, k) //nolint:bodyclose // the reader's Close does
	if err != nil {
		return nil, err
	}
	if wait := retryAfter(resp.Header); wait > 0 {
		return nil, notNow(resp, wait)
	}
	return &eventTail{key: key, resp: resp, in: newEventReader(resp.Body)}, nil
}

// notNow returns why the server serves no reader now: the last comment of its
// answer. It is not a 503, on which browsers would give up.
func notNow(resp *http.Response, wait time.Duration) error {
	defer resp.Body.Close()
	raw, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBytes))
	why := "the server serves no more readers now"
	for row := range strings.Lines(string(raw)) {
		if comment, ok := strings.CutPrefix(row, ": "); ok {
			why = strings.TrimSpace(comment)
		}
	}
	return &logservice.UnavailableError{Cause: errors.New(why), RetryAfter: wait}
}

// eventTail reads a log as server-sent events.
type eventTail struct {
	key  string
	resp *http.Response
	in   *eventReader
}

func (t *eventTail) State() string { return t.resp.Header.Get(logservice.HeaderState) }
func (t *eventTail) Close()        { _ = t.resp.Body.Close() }

func (t *eventTail) Next() (transport.Event, error) {
	for {
		e, err := t.in.next()
		switch {
		case errors.Is(err, logservice.ErrTooLarge):
			return transport.Event{}, fmt.Errorf("tail %s: %w", t.key, err)
		case err != nil:
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return transport.Event{}, fmt.Errorf("tail %s: %w", t.key, &logservice.UnavailableError{Cause: err})
		case isEnd(e):
			return transport.Event{End: true}, nil
		case e.name == "" || e.name == "message": // newer servers may send others
			return transport.Event{Attempt: e.id.Attempt, Seq: e.id.Sequence, JSON: e.data}, nil
		}
	}
}
