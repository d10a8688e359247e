package load

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Conn is one blocking keep-alive connection, for everything that is not
// measured by the thousand.
type Conn struct {
	net  net.Conn
	host string
	buf  []byte
	A    Answer
}

// callTimeout bounds one call; the longest is the upload of a gigabyte.
const callTimeout = 2 * time.Minute

// readBytes is the most that one read takes: several times what a server
// writes at once, and small enough to stay in the cache.
const readBytes = 128 << 10

// Dial connects to t.
func Dial(ctx context.Context, t *Target) (*Conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", t.Addr.String())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &Conn{net: c, host: t.Host(), buf: make([]byte, readBytes)}, nil
}

// Close closes the connection.
func (c *Conn) Close() { c.net.Close() }

// Send sends a whole request and reads its answer. Any status but 200 and 204
// is an error.
func (c *Conn) Send(request []byte) error {
	if err := c.Start(request); err != nil {
		return err
	}
	return c.Finish()
}

// Start sends a request, whose answer finish or read receives.
func (c *Conn) Start(request []byte) error {
	if err := c.net.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return err
	}
	_, err := c.net.Write(request)
	return err
}

// Finish reads the rest of an answer.
func (c *Conn) Finish() error {
	c.A.Reset()
	for !c.A.Done() {
		if err := c.Read(); err != nil {
			return err
		}
	}
	if c.A.Status != 200 && c.A.Status != 204 {
		return fmt.Errorf("status %d", c.A.Status)
	}
	return nil
}

// Read reads what has arrived of an answer.
func (c *Conn) Read() error {
	n, err := c.net.Read(c.buf)
	if n == 0 && err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	return c.A.Feed(c.buf[:n])
}

// maxAnswer bounds the answers that are kept: infos and errors.
const maxAnswer = 64 << 20

// call makes a request without a body and returns the answer's.
func (c *Conn) call(method, path string) (body []byte, err error) {
	c.A.OnBody = func(p []byte) error {
		if body = append(body, p...); len(body) > maxAnswer {
			return fmt.Errorf("answer over %d bytes", maxAnswer)
		}
		return nil
	}
	defer func() { c.A.OnBody = nil }()
	if err := c.Send(Request(method, path, c.host)); err != nil {
		return nil, fmt.Errorf("%s %s: %w %s", method, path, err, body)
	}
	return body, nil
}

// Request is one without a body; headers each end in \r\n.
func Request(method, path, host string, headers ...string) []byte {
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: 0\r\n\r\n", method, path, host, strings.Join(headers, ""))
}

// Upload sends size bytes of body.
func (c *Conn) Upload(method, path string, body io.Reader, size int64) error {
	head := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", method, path, c.host, size)
	if err := c.Start(head); err != nil {
		return err
	}
	if n, err := io.CopyBuffer(struct{ io.Writer }{c.net}, body, make([]byte, 256<<10)); err != nil || n != size {
		return fmt.Errorf("sent %d of %d bytes: %w", n, size, err)
	}
	return c.Finish()
}

// Download counts the bytes and line breaks of an answer.
func (c *Conn) Download(path string, headers ...string) (size, lines int64, err error) {
	c.A.OnBody = func(p []byte) error {
		size += int64(len(p))
		lines += CountLines(p)
		return nil
	}
	defer func() { c.A.OnBody = nil }()
	err = c.Send(Request("GET", path, c.host, headers...))
	return size, lines, err
}
