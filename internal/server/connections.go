package server

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// File descriptors that connections leave to the log, the store and backends: a
// quarter of the process's limit, within these bounds. A server that cannot open
// the next file of its log fails every append, so it rejects connections first.
const (
	minReserve = 64
	maxReserve = 4096
)

// refusedEvery limits how often rejected connections are logged.
const refusedEvery = 10 * time.Second

// connections limits the open connections of all listeners together, including
// those of tails.
type connections struct {
	prometheus.Collector // of refused and open

	most    int64
	log     *slog.Logger
	open    atomic.Int64
	last    atomic.Int64 // when rejections were last logged, Unix seconds
	refused prometheus.Counter
}

// newConnections limits connections to wanted (0 for no limit), and to what the
// process's limit of descriptors allows.
func newConnections(wanted, descriptors int64, log *slog.Logger) *connections {
	c := &connections{most: descriptors - min(max(descriptors/4, minReserve), maxReserve), log: log}
	c.most = max(1, c.most)
	if wanted > c.most {
		log.Warn("LOG_SERVICE_MAX_CONNECTIONS exceeds what the descriptor limit allows: raise that limit (ulimit -n, LimitNOFILE)",
			"LOG_SERVICE_MAX_CONNECTIONS", wanted, "connections", c.most, "descriptors", descriptors)
	} else if wanted > 0 {
		c.most = wanted
	}
	c.refused = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "log_service_connections_refused_total",
		Help: "Connections closed at once because the limit was reached.",
	})
	all := prometheus.NewRegistry()
	all.MustRegister(c.refused, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "log_service_connections",
		Help: "Open connections on all listeners.",
	}, func() float64 { return float64(c.open.Load()) }))
	c.Collector = all
	return c
}

// on returns l with its connections counted. Excess connections are closed, after
// sending answer if it is not empty.
func (c *connections) on(l net.Listener, answer string) net.Listener {
	return &countedListener{l, c, answer}
}

type countedListener struct {
	net.Listener
	all    *connections
	answer string
}

// tooMany is the response to an excess connection over HTTP without TLS.
const tooMany = "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 83\r\n\r\n" +
	`{"error_msg":"the server has too many connections","code":503,"reason":"overload"}` + "\n"

// Accept implements net.Listener.
func (l *countedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			return nil, errors.Join(errors.New("not a TCP connection"), conn.Close())
		}
		if l.all.open.Add(1) <= l.all.most {
			return &countedConn{TCPConn: tcp, all: l.all}, nil
		}
		l.all.refuse(tcp, l.answer)
	}
}

// refuse closes a connection without blocking.
func (c *connections) refuse(conn *net.TCPConn, answer string) {
	if answer != "" {
		_, _ = io.WriteString(conn, answer) // fits the empty socket buffer
	}
	_ = conn.Close()
	c.open.Add(-1)
	c.refused.Inc()
	now := time.Now().Unix()
	if last := c.last.Load(); now-last >= int64(refusedEvery/time.Second) && c.last.CompareAndSwap(last, now) {
		c.log.Warn("connections are refused: the limit is reached", "connections", c.most)
	}
}

// countedConn is counted until it is closed.
type countedConn struct {
	*net.TCPConn
	all    *connections
	closed atomic.Bool
}

// Close implements net.Conn.
func (c *countedConn) Close() error {
	err := c.TCPConn.Close()
	if !c.closed.Swap(true) {
		c.all.open.Add(-1)
	}
	return err
}
