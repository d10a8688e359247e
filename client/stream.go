package client

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client/internal/transport"
)

// maxAnswerBytes bounds the answers that are read into memory: 64 MiB is a
// listing of some 300,000 streams.
const maxAnswerBytes = 64 << 20

// OpenOption changes how Open opens a stream.
type OpenOption func(*transport.Open)

// TTL is how long the stream may be silent before the server archives it by
// itself, marked incomplete; in whole seconds, at most logservice.MaxTTL.
// Without this option it is logservice.DefaultTTL.
func TTL(d time.Duration) OpenOption {
	return func(o *transport.Open) { o.TTL = d }
}

// Truncate drops the lines of a stream that is open already.
func Truncate() OpenOption {
	return func(o *transport.Open) { o.Truncate = true }
}

// Open makes the stream of key, so that lines may be appended. One that is
// open already is kept, so that repeating it is harmless.
func (c *Client) Open(ctx context.Context, key logservice.Key, opts ...OpenOption) error {
	var o transport.Open
	for _, opt := range opts {
		opt(&o)
	}
	a, err := c.about("open", key)
	if err != nil {
		return err
	}
	return c.repeat(ctx, &a, func() error { return c.live.Open(ctx, string(key), o) })
}

// about returns the attempts of a call about a key, or the error of an
// invalid one.
func (c *Client) about(what string, key logservice.Key) (attempts, error) {
	return attempts{op: what + " " + string(key), retry: c.retry}, checkKey(what, key)
}

// AppendOption changes how lines are appended.
type AppendOption func(*transport.Batch)

// Offset is the sequence that the first line shall get. Repeating such an
// append is harmless: lines that the stream has are not stored again. One
// beyond the end of the stream is refused with a *logservice.SequenceError.
func Offset(seq int64) AppendOption {
	return func(b *transport.Batch) { b.Offset = seq }
}

// Encoded says that the body of AppendBody is compressed: "gzip" or "zstd".
// Over gRPC it is logservice.ErrUnsupported.
func Encoded(encoding string) AppendOption {
	return func(b *transport.Batch) { b.Encoding = encoding }
}

// Append adds lines to the open stream of key, all or none, and returns the
// sequence that the next line will get (zero from a server that does not
// say). No lines at all only ask for it. A line without a time gets the
// present one; Pos is sent as it is. logservice.ErrStreamNotFound: the stream
// is not open; logservice.ErrTooLarge: more than the server takes at once.
//
// A repeated append stores nothing twice: with Offset always, without it when
// pos and time of its lines differ from those of the lines before.
func (c *Client) Append(ctx context.Context, key logservice.Key, lines []logservice.Line, opts ...AppendOption) (next int64, err error) {
	data, err := encodeLines(lines, time.Now())
	if err != nil {
		return 0, fmt.Errorf("append to %s: %w", key, err)
	}
	return c.AppendBody(ctx, key, JSON, data, opts...)
}

// Content types of AppendBody.
const (
	JSON   = "application/json"     // an array of lines
	NDJSON = "application/x-ndjson" // a line a row
	Text   = "text/plain"           // each row the text of a line; the server adds the rest
)

// AppendBody is Append for lines that are encoded already, as contentType
// says. A repeated append of Text without Offset may store its lines twice:
// nothing in them tells a repetition from new lines.
func (c *Client) AppendBody(ctx context.Context, key logservice.Key, contentType string, data []byte, opts ...AppendOption) (next int64, err error) {
	b := transport.Batch{ContentType: contentType, Data: data}
	for _, o := range opts {
		o(&b)
	}
	a, err := c.about("append to", key)
	if err != nil {
		return 0, err
	}
	return c.append(ctx, &a, key, b)
}

func (c *Client) append(ctx context.Context, a *attempts, key logservice.Key, b transport.Batch) (next int64, err error) {
	err = c.repeat(ctx, a, func() error {
		next, err = c.live.Append(ctx, string(key), b)
		return err
	})
	return next, err
}

func encodeLines(lines []logservice.Line, now time.Time) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	buf.WriteByte('[')
	for i, l := range lines {
		if i > 0 {
			buf.WriteByte(',')
		}
		if l.Time.IsZero() {
			l.Time = now
		}
		if err := enc.Encode(l); err != nil { // a time past the year 9999
			return nil, errors.Join(logservice.ErrInvalid, err)
		}
	}
	buf.WriteByte(']')
	return buf.Bytes(), nil
}

// CloseOption changes what closing does with the log.
type CloseOption func(*transport.Close)

// Snapshot with true archives the log in any case, in place of a blob of its
// key; with false never: its lines are gone. Without this option a log is
// archived unless there is a blob of its key.
func Snapshot(archive bool) CloseOption {
	return func(o *transport.Close) { o.Snapshot = &archive }
}

// Close ends the log of key: its readers get every line, then the end.
// logservice.ErrStreamNotFound: there is none open. When a repetition finds
// none, the attempt before has closed it, and Close returns nil.
func (c *Client) Close(ctx context.Context, key logservice.Key, opts ...CloseOption) error {
	a, err := c.about("close", key)
	if err != nil {
		return err
	}
	return c.close(ctx, a, key, transport.Close{}, opts)
}

// CloseUnder closes every open log at and below the key prefix, by whole
// segments. None at all is no error.
func (c *Client) CloseUnder(ctx context.Context, prefix logservice.Key, opts ...CloseOption) error {
	a, err := c.about("close all under", prefix)
	if err != nil {
		return err
	}
	return c.close(ctx, a, prefix, transport.Close{Under: true}, opts)
}

func (c *Client) close(ctx context.Context, a attempts, key logservice.Key, o transport.Close, opts []CloseOption) error {
	for _, opt := range opts {
		opt(&o)
	}
	err := c.repeat(ctx, &a, func() error { return c.live.Close(ctx, string(key), o) })
	if a.doubtful && errors.Is(err, logservice.ErrStreamNotFound) {
		return nil
	}
	return err
}

// StreamInfo describes a log that is not archived yet.
type StreamInfo struct {
	Key         logservice.Key
	Lines       int64         // sequences given so far
	Bytes       int64         // of JSON held
	Subscribers int           // tails that follow
	TTL         time.Duration // until it counts as abandoned
	Node        string        // the server that it is written through, where there are several
}

// Live is what a server has of an account that is not archived yet.
type Live struct {
	Streams []StreamInfo // open logs, ordered by key
	// Waiting is how many closed logs wait to be archived; Failing of these
	// have failed, and are tried again. They can be read meanwhile.
	Waiting, Failing int
}

// InfoOption changes which logs Info describes.
type InfoOption func(*logservice.Key)

// Under selects the logs at and below the key prefix, by whole segments.
func Under(prefix logservice.Key) InfoOption {
	return func(p *logservice.Key) { *p = prefix }
}

// Info describes the live logs of the account, ordered by key.
func (c *Client) Info(ctx context.Context, opts ...InfoOption) ([]StreamInfo, error) {
	live, err := c.Live(ctx, opts...)
	return live.Streams, err
}

// Live describes the open logs of the account, and counts those that wait to
// be archived.
func (c *Client) Live(ctx context.Context, opts ...InfoOption) (Live, error) {
	var prefix logservice.Key
	for _, o := range opts {
		o(&prefix)
	}
	a := attempts{op: "info", retry: c.retry}
	var all transport.Listing
	err := c.repeat(ctx, &a, func() (err error) {
		all, err = c.live.List(ctx, string(prefix))
		return err
	})
	if err != nil {
		return Live{}, err
	}
	live := Live{Streams: make([]StreamInfo, 0, len(all.Streams)), Waiting: all.Waiting, Failing: all.Failing}
	for _, i := range all.Streams {
		key := logservice.Key(i.Key)
		if !key.Under(prefix) { // an older server sends all
			continue
		}
		live.Streams = append(live.Streams, StreamInfo{
			Key: key, Lines: i.Lines, Bytes: i.Bytes, Subscribers: i.Subscribers, TTL: i.TTL, Node: i.Node,
		})
	}
	slices.SortFunc(live.Streams, func(a, b StreamInfo) int { return cmp.Compare(a.Key, b.Key) })
	return live, nil
}

// decode sends k and reads the JSON of its answer into v.
func (c *Client) decode(ctx context.Context, k *call, v any) error {
	resp, err := c.do(ctx, k)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return readAnswer(k, resp, v)
}
