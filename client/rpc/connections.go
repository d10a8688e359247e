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

// keepaliveParams detect a dead server within 40 s; servers allow a ping every 10 s.
var keepaliveParams = keepalive.ClientParameters{Time: 20 * time.Second, Timeout: 20 * time.Second}

// connectParams reconnect about as often as package client makes attempts.
var connectParams = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 3 * time.Second},
	MinConnectTimeout: 10 * time.Second,
}

const (
	// maxMessage limits one message: a server sends at most about 256 KiB of
	// lines together, or a single line of up to 64 MiB.
	maxMessage = 65 << 20
	// streamWindow and connWindow are how many bytes a server may send before
	// the client has read them.
	streamWindow, connWindow = 1 << 20, 4 << 20
)

// connections holds the connection of a client, if there is one.
type connections struct {
	config transport.Config

	mu   sync.Mutex  // guards conn, and uses and old of every connection
	conn *connection // the current one; may be nil
}

// connection is closed when it is no longer needed.
type connection struct {
	*grpc.ClientConn
	uses int  // calls in progress
	old  bool // to be closed once no call uses it

	broken atomic.Pointer[error] // why the last attempt to connect failed
}

// use returns a connection for one call; done must be called when the call ends.
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
		_ = conn.Close() // closed only once: no error
	}
}

// closeIdle closes the connection once the calls on it have ended. The next call
// makes a new one.
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

// connect prepares a connection, which is dialled on the first call.
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

// dial records why it failed: gRPC passes on only the message, and callers check
// for "connection refused".
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

// handshakes records why a handshake failed, in the same way.
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
