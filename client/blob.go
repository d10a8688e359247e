package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
)

// UploadOption configures Upload.
type UploadOption func(*call)

// AtEnd appends to the stored blob instead of replacing it. Appending twice
// would duplicate content, so such an upload is retried only if the server
// cannot have stored anything.
func AtEnd() UploadOption {
	return func(k *call) {
		k.query.Set("append", "true")
		k.once = true
	}
}

// Upload stores the content of r as the finished log of key, byte for byte,
// replacing any previous one. It is atomic: the log is stored whole or not at all.
// If r is an io.Seeker, Upload rewinds it to its initial offset and retries after
// a failure; any other reader is sent once. Upload does not close r.
func (c *Client) Upload(ctx context.Context, key logservice.Key, r io.Reader, opts ...UploadOption) error {
	k, err := c.newCall("upload", http.MethodPost, "/blob", key)
	if err != nil {
		return err
	}
	k.body = bodyFrom(r)
	for _, o := range opts {
		o(k)
	}
	return c.run(ctx, k)
}

// DownloadOption configures Download.
type DownloadOption func(*call)

// Range reads length bytes starting at offset, or fewer if the log ends first.
// Download fails with logservice.ErrUnsupported if the server does not support
// ranges.
func Range(offset, length int64) DownloadOption {
	return func(k *call) {
		k.from = offset
		k.header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
	}
}

// DownloadAttempt reads attempt n of the log. Zero, the default, is the newest.
func DownloadAttempt(n int64) DownloadOption {
	return func(k *call) {
		if n > 0 {
			k.query.Set("attempt", strconv.FormatInt(n, 10))
		}
	}
}

// AsUploaded reads the bytes that were uploaded, also if they are compressed. By
// default they are decompressed. A log that was streamed is JSON lines.
func AsUploaded() DownloadOption {
	return func(k *call) { k.query.Set("format", "raw") }
}

// Download reads the finished log of key: an archive as JSON lines, an uploaded
// blob byte for byte, or decompressed. The caller must close the result. If the
// connection is lost, reading returns an error, never an early io.EOF. If there is
// no such log, the error is logservice.ErrBlobNotFound. If the log is damaged,
// reading returns all that can be read, with a line in place of what cannot, and
// then an error that is logservice.ErrDamaged.
func (c *Client) Download(ctx context.Context, key logservice.Key, opts ...DownloadOption) (*Finished, error) {
	k, err := c.newCall("download", http.MethodGet, "/blob", key)
	if err != nil {
		return nil, err
	}
	// Decompressing is left to the server: it can tell damage from a lost connection.
	k.header = http.Header{"Accept-Encoding": {"identity"}}
	for _, o := range opts {
		o(k)
	}
	resp, err := c.do(ctx, k)
	if err != nil {
		return nil, err
	}
	if k.header.Get("Range") != "" && resp.StatusCode != http.StatusPartialContent {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%s: ranges: %w", k.op, logservice.ErrUnsupported)
	}
	body := &finishedBody{ReadCloser: resp.Body, client: c, ctx: ctx, key: key, at: k.from}
	return &Finished{body, resp.Header.Get(logservice.HeaderState) == logservice.StateIncomplete}, nil
}

// Exists reports whether there is a finished log for key.
func (c *Client) Exists(ctx context.Context, key logservice.Key) (bool, error) {
	k, err := c.newCall("find", http.MethodGet, "/blob/exists", key)
	if err != nil {
		return false, err
	}
	resp, err := c.do(ctx, k)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	word, err := io.ReadAll(io.LimitReader(resp.Body, 16)) // "true" or "false"
	if err != nil {
		return false, fmt.Errorf("%s: %w", k.op, &logservice.UnavailableError{Cause: err})
	}
	exists, err := strconv.ParseBool(strings.TrimSpace(string(word)))
	if err != nil {
		return false, fmt.Errorf("%s: the server answered %q: %w", k.op, word, logservice.ErrUnsupported)
	}
	return exists, nil
}

// Delete deletes the finished log of key. Deleting a log that does not exist is
// not an error.
func (c *Client) Delete(ctx context.Context, key logservice.Key) error {
	k, err := c.newCall("delete", http.MethodDelete, "/blob", key)
	if err != nil {
		return err
	}
	return c.run(ctx, k)
}

// Link is a URL that lets whoever holds it perform one action on one log.
type Link struct {
	URL     string
	Expires time.Duration // validity, counted from creation
}

// UploadLink returns a link for uploading the finished log of key as the body of
// an HTTP PUT request. If expires is zero, the server chooses the validity; a
// server may shorten one that is too long.
func (c *Client) UploadLink(ctx context.Context, key logservice.Key, expires time.Duration) (Link, error) {
	return c.link(ctx, "upload link for", "/blob/link/upload", key, expires)
}

// DownloadLink returns a link for downloading the finished log of key; expires is
// as for UploadLink. It does not check that the log exists: a missing log is
// reported when the link is used.
func (c *Client) DownloadLink(ctx context.Context, key logservice.Key, expires time.Duration) (Link, error) {
	return c.link(ctx, "download link for", "/blob/link/download", key, expires)
}

func (c *Client) link(ctx context.Context, what, path string, key logservice.Key, expires time.Duration) (Link, error) {
	k, err := c.newCall(what, http.MethodPost, path, key)
	if err != nil {
		return Link{}, err
	}
	if expires != 0 {
		k.query.Set("expires", expires.String())
	}
	var answer struct {
		Link    string        `json:"link"`
		Expires time.Duration `json:"expires"`
	}
	if err := c.decode(ctx, k, &answer); err != nil {
		return Link{}, err
	}
	return Link{URL: answer.Link, Expires: answer.Expires}, nil
}
