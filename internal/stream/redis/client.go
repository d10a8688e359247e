package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	logservice "github.com/harness/log-service"
)

const (
	// dialTimeout bounds a connection attempt, within one data center.
	dialTimeout = 5 * time.Second
	// keepAlive detects connections whose other end is lost.
	keepAlive = 2 * time.Second
	// connections is how many connections, as a power of two, carry appends:
	// with two, one can be filled while the other is written.
	connections = 1
	// buffer is the size of each connection's read and write buffers, and ring
	// the number of its calls in progress, as a power of two: most connections
	// only wait for data.
	buffer = 128 << 10
	ring   = 8
)

// client is the connection to Redis: its calls have a limit, are measured, and
// fail with ErrUnavailable.
type client struct {
	rueidis.Client
	scripts  *scripts
	metrics  *metrics
	replicas int          // that must have acknowledged lines
	dials    atomic.Int64 // see dial
}

// connect connects to the Redis of c.
func connect(c Config, s *scripts, m *metrics) (*client, error) {
	r := &client{scripts: s, metrics: m, replicas: c.Replicas}
	o := rueidis.ClientOption{
		InitAddress: c.Addresses, Username: c.Username, Password: string(c.Password), TLSConfig: c.TLS,
		ClientName:         "log-service",
		DialCtxFn:          r.dial,
		Dialer:             net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive},
		ConnWriteTimeout:   callTimeout,
		ReadBufferEachConn: buffer, WriteBufferEachConn: buffer,
		RingScaleEachConn: ring,
		PipelineMultiplex: connections,
		DisableCache:      true,
		DisableRetry:      true, // a failed call returns at once: callers retry where that helps
		ClientSetInfo:     rueidis.DisableClientSetInfo,
	}
	if c.MasterName != "" {
		o.Sentinel = rueidis.SentinelOption{
			MasterSet: c.MasterName, Username: c.SentinelUsername, Password: string(c.SentinelPassword),
			TLSConfig: c.TLS, Dialer: o.Dialer, TopologyRefreshInterval: heartbeat,
		}
	}
	var err error
	if r.Client, err = rueidis.NewClient(o); err != nil {
		return nil, err
	}
	return r, nil
}

// dial connects to a Redis and counts the connection: it may be another Redis
// than before, or have restarted, and may have lost lines. Tails read before
// that are read again.
func (r *client) dial(ctx context.Context, addr string, d *net.Dialer, c *tls.Config) (net.Conn, error) {
	defer r.dials.Add(1)
	if c != nil {
		return (&tls.Dialer{NetDialer: d, Config: c}).DialContext(ctx, "tcp", addr)
	}
	return d.DialContext(ctx, "tcp", addr)
}

// callTimeout bounds one call of Redis: longer than a usual failover within one
// data center, shorter than the timeouts of clients.
const callTimeout = 5 * time.Second

// call runs a script on the bucket of root and returns its answer. Errors are
// ErrUnavailable: then it is unknown what the call has done.
func (r *client) call(ctx context.Context, s *script, root string, args ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return r.measured(ctx, s, r, root, args)
}

// measured runs a script and returns its answer.
func (r *client) measured(ctx context.Context, s *script, on runner, root string, args []string) (answer, error) {
	began := time.Now()
	a, err := s.run(ctx, on, root, args).ToArray()
	r.metrics.seconds.Observe(time.Since(began).Seconds())
	if err != nil {
		r.metrics.failures.Inc()
		return nil, unavailable(err)
	}
	return a, nil
}

// unavailable is the error of what Redis cannot do at the moment.
func unavailable(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v", callTimeout)
	}
	if errors.Is(err, rueidis.ErrClosing) {
		err = errors.New("the server is stopping")
	}
	// Not wrapped: the io.EOF of a connection is not the end of a log.
	return &logservice.UnavailableError{Cause: fmt.Errorf("redis: %v", err)}
}

// isWrongType reports whether another program uses a key of ours.
func isWrongType(err error) bool {
	return err != nil && strings.Contains(err.Error(), "WRONGTYPE")
}

// acked runs f and, if replicas must have what it wrote, waits for them. WAIT
// concerns the writes of its own connection, so both use one that nobody else
// uses.
func (r *client) acked(ctx context.Context, f func(ctx context.Context, on runner) (answer, error)) (a answer, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if r.replicas == 0 {
		return f(ctx, r)
	}
	err = r.Dedicated(func(c rueidis.DedicatedClient) error {
		if a, err = f(ctx, c); err != nil {
			return err
		}
		return r.awaitReplicas(ctx, c)
	})
	if err != nil && !errors.Is(err, logservice.ErrUnavailable) {
		err = unavailable(err)
	}
	return a, err
}

// awaitReplicas waits until replicas have what was written on the connection.
func (r *client) awaitReplicas(ctx context.Context, c rueidis.DedicatedClient) error {
	wait := c.B().Wait().Numreplicas(int64(r.replicas)).Timeout((callTimeout / 2).Milliseconds()).Build()
	n, err := c.Do(ctx, wait).AsInt64()
	if err != nil {
		return unavailable(err)
	}
	if n < int64(r.replicas) {
		return unavailable(fmt.Errorf("%d of the %d replicas that must have it have the append", n, r.replicas))
	}
	return nil
}

// failed counts a failed call that was made in another way, and returns its
// error.
func (r *client) failed(err error) error {
	r.metrics.failures.Inc()
	return unavailable(err)
}
