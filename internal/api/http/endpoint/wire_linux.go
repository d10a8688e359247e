package endpoint

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsentBytes is how much the system queues for a peer in addition to what is
// in flight. Beyond it a socket counts as full, and accepts more once half of
// it has been sent, for which a peer has one stall time (see sendWindow).
const unsentBytes = 2 * sendWindow

// maxParts is how many parts one system call accepts (IOV_MAX).
const maxParts = 1024

// newWire returns the wire of a connection that a tail has taken over.
func newWire(conn net.Conn) wire {
	switch c := conn.(type) {
	case syscall.Conn: // TCP, perhaps counted; TLS is none
		if s := newSocket(c); s != nil {
			return s
		}
	case *tls.Conn:
		tcp, ok := c.NetConn().(syscall.Conn)
		if !ok {
			break
		}
		if s := newSocket(tcp); s != nil {
			return &records{conn: c, socket: s}
		}
	}
	return &pieces{write: whole(conn)}
}

// socket is a TCP connection. Its functions are created once, since each write
// needs one.
type socket struct {
	raw      syscall.RawConn
	tryFn    func(fd uintptr) bool
	readyFn  func(fd uintptr) bool
	parts    [][]byte // of try
	n        int      // of try, so far
	err      error    // of either
	waited   bool     // of ready
	writable bool     // of writableNow
}

func newSocket(c syscall.Conn) *socket {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw}
	s.tryFn, s.readyFn = s.tryNow, s.readyNow
	_ = raw.Control(func(fd uintptr) { // without it the system queues some MB, which only takes memory
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsentBytes)
	})
	return s
}

func (s *socket) try(parts [][]byte) (n int, err error) {
	s.parts, s.n, s.err = parts, 0, nil
	err = s.raw.Write(s.tryFn)
	s.parts = nil
	return s.n, errors.Join(s.err, err)
}

// tryNow writes until all is written or the socket is full.
func (s *socket) tryNow(fd uintptr) bool {
	for len(s.parts) > 0 {
		n, err := unix.Writev(int(fd), s.parts[:min(len(s.parts), maxParts)])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return true
		case err != nil:
			s.err = &net.OpError{Op: "writev", Net: "tcp", Err: err}
			return true
		}
		s.n += n
		s.parts = skip(s.parts, n)
	}
	return true
}

func (s *socket) pending() bool { return false }

func (s *socket) ready() error {
	s.waited = false
	return s.raw.Write(s.readyFn)
}

// readyNow is called again after a wait. Before the first one it has to check
// the socket: earlier changes do not end the wait.
func (s *socket) readyNow(fd uintptr) bool {
	if s.waited || writable(fd) {
		return true
	}
	s.waited = true
	return false
}

func (s *socket) writableNow() (bool, error) {
	err := s.raw.Control(func(fd uintptr) { s.writable = writable(fd) })
	return s.writable, err
}

func writable(fd uintptr) bool {
	p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(p, 0)
	return n > 0 || err != nil && !errors.Is(err, unix.EINTR)
}

// records is a TLS connection, whose writes cannot be undone: it writes as long
// as its socket has space for a record.
type records struct {
	conn   *tls.Conn
	socket *socket
}

func (w *records) try(parts [][]byte) (n int, err error) {
	buf := piecePool.Get().(*[pieceBytes]byte)
	defer piecePool.Put(buf)
	for len(parts) > 0 {
		if ok, err := w.socket.writableNow(); !ok || err != nil {
			return n, err
		}
		m := fill(buf[:], parts)
		if _, err := w.conn.Write(buf[:m]); err != nil {
			return n, err
		}
		n += m
		parts = skip(parts, m)
	}
	return n, nil
}

func (w *records) pending() bool { return false }

func (w *records) ready() error { return w.socket.ready() }
