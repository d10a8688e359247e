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

// UploadOption changes how Upload stores.
type UploadOption func(*call)

// AtEnd adds to what is stored instead of replacing it. Such an upload is
// repeated only when the server cannot have stored anything: it is not safe
// to send twice.
func AtEnd() UploadOption {
	return func(k *call) {
		k.query.Set("append", "true")
		k.once = true
	}
}

// Upload stores what r yields as the finished log of key, byte for byte,
// whole or not at all, in place of what was there. An r that can seek is
// rewound to where it stood and sent again after a failure; any other is sent
// once. r is never closed.
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

// DownloadOption changes what Download reads.
type DownloadOption func(*call)

// Range reads length bytes from offset on, or fewer where the log ends.
// logservice.ErrUnsupported: the server gives whole logs only.
func Range(offset, length int64) DownloadOption {
	return func(k *call) {
		k.header = http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", offset, offset+length-1)}}
	}
}

// Finished is a finished log as Download reads it.
type Finished struct {
	io.ReadCloser
	// Incomplete: the writer went silent and the server ended the log, so
	// lines may be missing at its end.
	Incomplete bool
}

// Download reads the finished log of key: an archive as JSON lines, an
// uploaded one byte for byte. Close the reader. Its reads fail, and never end
// early, when the connection is lost. logservice.ErrBlobNotFound: there is no
// such log.
func (c *Client) Download(ctx context.Context, key logservice.Key, opts ...DownloadOption) (*Finished, error) {
	k, err := c.newCall("download", http.MethodGet, "/blob", key)
	if err != nil {
		return nil, err
	}
	for _, o := range opts {
		o(k)
	}
	resp, err := c.do(ctx, k)
	if err != nil {
		return nil, err
	}
	if k.header != nil && resp.StatusCode != http.StatusPartialContent {
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%s: ranges: %w", k.op, logservice.ErrUnsupported)
	}
	return &Finished{resp.Body, resp.Header.Get(logservice.HeaderState) == logservice.StateIncomplete}, nil
}

// Exists reports whether a finished log of key is stored.
func (c *Client) Exists(ctx context.Context, key logservice.Key) (bool, error) {
	k, err := c.newCall("look for", http.MethodGet, "/blob/exists", key)
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

// Delete deletes the finished log of key; one that does not exist is no
// error.
func (c *Client) Delete(ctx context.Context, key logservice.Key) error {
	k, err := c.newCall("delete", http.MethodDelete, "/blob", key)
	if err != nil {
		return err
	}
	return c.run(ctx, k)
}

// Link is an address that allows one action on one log to whoever has it.
type Link struct {
	URL     string
	Expires time.Duration // from when it was made
}

// UploadLink returns a link that takes the finished log of key as the body of
// an HTTP PUT. Zero expires after the server's default; a server may cut a
// time that it finds too long.
func (c *Client) UploadLink(ctx context.Context, key logservice.Key, expires time.Duration) (Link, error) {
	return c.link(ctx, "upload link for", "/blob/link/upload", key, expires)
}

// DownloadLink returns a link that gives the finished log of key, like
// UploadLink. That there is such a log is seen when the link is used.
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
