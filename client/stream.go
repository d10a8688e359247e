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

// maxAnswerBytes limits responses that are read into memory: 64 MiB is a listing
// of some 300,000 streams.
const maxAnswerBytes = 64 << 20

// OpenOption configures Open.
type OpenOption func(*transport.Open)

// TTL is how long the stream may be silent before the server closes and archives
// it, marked incomplete. It is rounded to whole seconds and is at most
// logservice.MaxTTL. The default is logservice.DefaultTTL.
func TTL(d time.Duration) OpenOption {
	return func(o *transport.Open) { o.TTL = d }
}

// Truncate deletes the lines of a stream that is already open.
func Truncate() OpenOption {
	return func(o *transport.Open) { o.Truncate = true }
}

// Open opens the stream of key so that lines can be appended. Opening an open
// stream keeps its lines, so a retry is harmless.
func (c *Client) Open(ctx context.Context, key logservice.Key, opts ...OpenOption) error {
	a, err := c.about("open", key)
	if err != nil {
		return err
	}
	return c.open(ctx, &a, key, opts)
}

func (c *Client) open(ctx context.Context, a *attempts, key logservice.Key, opts []OpenOption) error {
	var o transport.Open
	for _, opt := range opts {
		opt(&o)
	}
	return c.repeat(ctx, a, func() error { return c.live.Open(ctx, string(key), o) })
}

// about returns the attempts of a call on a key, or an error if the key is
// invalid.
func (c *Client) about(what string, key logservice.Key) (attempts, error) {
	return attempts{op: what + " " + string(key), retry: c.retry}, checkKey(what, key)
}

// AppendOption configures Append and AppendBody.
type AppendOption func(*transport.Batch)

// Offset is the sequence that the first line is to get. It makes retries safe:
// lines that the stream already has are not stored again. An offset beyond the
// end of the stream is rejected with a *logservice.SequenceError.
func Offset(seq int64) AppendOption {
	return func(b *transport.Batch) { b.Offset = seq }
}

// Encoded declares the content encoding of the body of AppendBody: "gzip" or
// "zstd". Over gRPC it fails with logservice.ErrUnsupported.
func Encoded(encoding string) AppendOption {
	return func(b *transport.Batch) { b.Encoding = encoding }
}

// Append appends lines to the open stream of key, all or none, and returns the
// sequence that the next line will get (zero if the server does not report it).
// With no lines it only returns that sequence. A line without a time gets the
// current time; Pos is sent unchanged. The error is logservice.ErrStreamNotFound
// if the stream is not open, and logservice.ErrTooLarge if lines exceed what the
// server accepts in one request.
//
// A retry stores nothing twice: always with Offset; without it, if the time of a
// line is not on a whole second.
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
	NDJSON = "application/x-ndjson" // one line per row
	Text   = "text/plain"           // each row is the text of a line; the server adds the rest
)

// AppendBody is like Append for lines already encoded as contentType. Without
// Offset, a retry of Text may store lines twice, because nothing distinguishes
// them from new lines.
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
		if err := enc.Encode(l); err != nil { // for example a time after the year 9999
			return nil, errors.Join(logservice.ErrInvalid, err)
		}
	}
	buf.WriteByte(']')
	return buf.Bytes(), nil
}

// CloseOption configures Close and CloseUnder.
type CloseOption func(*transport.Close)

// Snapshot controls archiving. With true the log is always archived, replacing a
// blob with the same key; with false it is never archived and its lines are
// discarded. By default a log is archived, too.
func Snapshot(archive bool) CloseOption {
	return func(o *transport.Close) { o.Snapshot = &archive }
}

// Close ends the log of key: its readers receive every line, then the end. The
// error is logservice.ErrStreamNotFound if no stream is open for key. If a retry
// finds none, an earlier attempt has closed it, and Close returns nil.
func (c *Client) Close(ctx context.Context, key logservice.Key, opts ...CloseOption) error {
	a, err := c.about("close", key)
	if err != nil {
		return err
	}
	return c.close(ctx, a, key, transport.Close{}, opts)
}

// CloseUnder closes every open log at and below the key prefix; see Key.Under. It
// is not an error if there are none.
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

// StreamInfo describes an open log.
type StreamInfo struct {
	Key         logservice.Key
	Attempt     int64         // of the log, from the second on; zero is the first
	Lines       int64         // sequences assigned so far
	Bytes       int64         // of JSON stored
	Subscribers int           // tails in progress
	TTL         time.Duration // of silence before the log counts as abandoned
	Node        string        // the server that owns the stream, in a cluster
}

// Live describes the logs of an account that are not archived yet.
type Live struct {
	Streams []StreamInfo // open logs, ordered by key
	// Waiting is the number of closed logs waiting to be archived; Failing is how
	// many of these have failed and are being retried. All remain readable.
	Waiting, Failing int
}

// InfoOption selects the logs that Info and Live describe.
type InfoOption func(*logservice.Key)

// Under selects the logs at and below the key prefix; see Key.Under.
func Under(prefix logservice.Key) InfoOption {
	return func(p *logservice.Key) { *p = prefix }
}

// Info describes the open logs of the account, ordered by key.
func (c *Client) Info(ctx context.Context, opts ...InfoOption) ([]StreamInfo, error) {
	live, err := c.Live(ctx, opts...)
	return live.Streams, err
}

// Live describes the open logs of the account and counts those waiting to be
// archived.
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
		if !key.Under(prefix) { // older servers send all
			continue
		}
		live.Streams = append(live.Streams, StreamInfo{
			Key: key, Attempt: i.Attempt, Lines: i.Lines, Bytes: i.Bytes, Subscribers: i.Subscribers, TTL: i.TTL, Node: i.Node,
		})
	}
	slices.SortFunc(live.Streams, func(a, b StreamInfo) int { return cmp.Compare(a.Key, b.Key) })
	return live, nil
}

// decode sends k and decodes its JSON response into v.
func (c *Client) decode(ctx context.Context, k *call, v any) error {
	resp, err := c.do(ctx, k)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	return readAnswer(k, resp, v)
}
