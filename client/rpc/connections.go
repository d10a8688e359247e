package rpc

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"

	"github.com/harness/log-service/client/internal/transport"
)

// A server that is gone is noticed within 40 s; servers allow a ping every 10 s.
var keepaliveParams = keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 20 * time.Second}

// Package client paces its attempts itself: the connection is tried as often.
var connectParams = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
	MinConnectTimeout: 10 * time.Second,
}

const (
	// maxMessage bounds one message: a server sends at most about 256 KiB of
	// lines together, or one line, which is never more than 64 MiB.
	maxMessage = 65 << 20
	// streamWindow and connWindow are what a server may send before it was
	// taken.
	streamWindow, connWindow = 1 << 20, 4 << 20
)

// connections holds the connection of a client, if there is one.
type connections struct {
	config transport.Config

	mu   sync.Mutex  // guards what follows, and uses and idle of connections
	conn *connection // the current one; nil: none
}

// connection is closed when nobody needs it.
type connection struct {
	*grpc.ClientConn
	uses int  // calls
	old  bool // closed once no call uses it

	broken atomic.Pointer[error] // why the last try to connect failed
}

// use returns a connection for one call, which ends with done.
func (c *connections) use() (*connection, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.conn == nil {
		conn, err := connect(c.config)
		if err != nil {
			return nil, err
		}
		c.conn = conn
	}
	c.conn.uses++
	return c.conn, nil
}

func (c *connections) done(conn *connection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn.uses--
	if conn.old && conn.uses == 0 {
		_ = conn.Close() // it is closed once: no error
	}
}

// closeIdle closes the connection, once the calls on it have ended; the next
// call makes another one.
func (c *connections) closeIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.conn
	if c.conn = nil; conn == nil {
		return
	}
	if conn.old = true; conn.uses == 0 {
		_ = conn.Close()
	}
}

// connect prepares a connection, which is made with the first call.
func connect(c transport.Config) (*connection, error) {
	x := new(connection)
	creds := insecure.NewCredentials()
	if c.TLS != nil {
		creds = credentials.NewTLS(c.TLS)
	}
	var err error
	x.ClientConn, err = grpc.NewClient("dns:///"+c.Address, append(options(),
		grpc.WithTransportCredentials(handshakes{creds, x}), grpc.WithContextDialer(x.dial))...)
	return x, err
}

// dial remembers why it failed: gRPC passes on the words alone, and callers
// ask whether nobody listens.
func (x *connection) dial(ctx context.Context, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	x.note(err)
	return conn, err
}

func (x *connection) note(err error) {
	if err != nil {
		x.broken.Store(&err)
	}
}

// handshakes remembers why a handshake failed, in the same way.
type handshakes struct {
	credentials.TransportCredentials
	x *connection
}

func (h handshakes) ClientHandshake(ctx context.Context, authority string, raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := h.TransportCredentials.ClientHandshake(ctx, authority, raw)
	h.x.note(err)
	return conn, info, err
}

func (h handshakes) Clone() credentials.TransportCredentials {
	return handshakes{h.TransportCredentials.Clone(), h.x}
}
