package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// conn is one blocking keep-alive connection, for everything that is not
// measured by the thousand.
type conn struct {
	net  net.Conn
	host string
	buf  []byte
	a    answer
}

// callTimeout bounds one call; the longest is the upload of a gigabyte.
const callTimeout = 2 * time.Minute

func dial(ctx context.Context, t *target) (*conn, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", t.addr.String())
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return &conn{net: c, host: t.host(), buf: make([]byte, readBytes)}, nil
}

func (c *conn) close() { c.net.Close() }

// send sends a whole request and reads its answer. Any status but 200 and 204
// is an error.
func (c *conn) send(request []byte) error {
	if err := c.start(request); err != nil {
		return err
	}
	return c.finish()
}

func (c *conn) start(request []byte) error {
	if err := c.net.SetDeadline(time.Now().Add(callTimeout)); err != nil {
		return err
	}
	_, err := c.net.Write(request)
	return err
}

func (c *conn) finish() error {
	c.a.reset()
	for !c.a.done() {
		if err := c.read(); err != nil {
			return err
		}
	}
	if c.a.status != 200 && c.a.status != 204 {
		return fmt.Errorf("status %d", c.a.status)
	}
	return nil
}

func (c *conn) read() error {
	n, err := c.net.Read(c.buf)
	if n == 0 && err != nil {
		return fmt.Errorf("receive: %w", err)
	}
	return c.a.feed(c.buf[:n])
}

// maxAnswer bounds the answers that are kept: infos and errors.
const maxAnswer = 64 << 20

// call makes a request without a body and returns the answer's.
func (c *conn) call(method, path string) (body []byte, err error) {
	c.a.onBody = func(p []byte) error {
		if body = append(body, p...); len(body) > maxAnswer {
			return fmt.Errorf("answer over %d bytes", maxAnswer)
		}
		return nil
	}
	defer func() { c.a.onBody = nil }()
	if err := c.send(request(method, path, c.host)); err != nil {
		return nil, fmt.Errorf("%s %s: %w %s", method, path, err, body)
	}
	return body, nil
}

// request is one without a body; headers each end in \r\n.
func request(method, path, host string, headers ...string) []byte {
	return fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: 0\r\n\r\n", method, path, host, strings.Join(headers, ""))
}

// upload sends size bytes of body.
func (c *conn) upload(method, path string, body io.Reader, size int64) error {
	head := fmt.Appendf(nil, "%s %s HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n", method, path, c.host, size)
	if err := c.start(head); err != nil {
		return err
	}
	if n, err := io.CopyBuffer(struct{ io.Writer }{c.net}, body, make([]byte, 256<<10)); err != nil || n != size {
		return fmt.Errorf("sent %d of %d bytes: %w", n, size, err)
	}
	return c.finish()
}

// download counts the bytes and line breaks of an answer.
func (c *conn) download(path string, headers ...string) (size, lines int64, err error) {
	c.a.onBody = func(p []byte) error {
		size += int64(len(p))
		lines += countLines(p)
		return nil
	}
	defer func() { c.a.onBody = nil }()
	err = c.send(request("GET", path, c.host, headers...))
	return size, lines, err
}
