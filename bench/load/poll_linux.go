package load

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Poller drives many connections from one goroutine by epoll: one system call
// per read, none that finds nothing, and no goroutine to wake. The server under
// test shares the cores, so the generator must use little.
type Poller struct {
	ep     int
	socks  map[int32]*Sock
	events []unix.EpollEvent
	buf    []byte
}

// Sock is one connection of a poller.
type Sock struct {
	fd      int
	out     []byte // what is still to be sent; not to be touched until then
	waiting bool   // for space in the socket to send
	// data sees what arrives, in a buffer that is reused; its error ends the
	// poller's wait. ended is called once, at the peer's end of the connection.
	Data  func(b []byte) error
	Ended func() error
}

// NewPoller returns a poller without connections.
func NewPoller() (*Poller, error) {
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("epoll: %w", err)
	}
	return &Poller{ep: ep, socks: map[int32]*Sock{}, events: make([]unix.EpollEvent, 256), buf: make([]byte, readBytes)}, nil
}

// Close ends all connections.
func (p *Poller) Close() {
	for _, s := range p.socks {
		unix.Close(s.fd)
	}
	unix.Close(p.ep)
}

// Dial connects s, whose data is set.
func (p *Poller) Dial(addr netip.AddrPort, s *Sock) error {
	family, to := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().Unmap().As4()})
	if !addr.Addr().Unmap().Is4() {
		family, to = unix.AF_INET6, &unix.SockaddrInet6{Port: int(addr.Port()), Addr: addr.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	err = errors.Join(
		unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1),
		connect(fd, to),
		unix.SetNonblock(fd, true),
		unix.EpollCtl(p.ep, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(fd)}),
	)
	if err != nil {
		unix.Close(fd)
		return fmt.Errorf("connect to %v: %w", addr, err)
	}
	s.fd = fd
	p.socks[int32(fd)] = s
	return nil
}

// connect continues after a signal interrupts it.
func connect(fd int, to unix.Sockaddr) error {
	err := unix.Connect(fd, to)
	if !errors.Is(err, unix.EINTR) {
		return err
	}
	if _, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}, 5000); err != nil {
		return err
	}
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if code != 0 {
		return unix.Errno(code)
	}
	return err
}

// Send sends b on s, now or as the socket accepts it. b must not change until the
// response has arrived.
func (p *Poller) Send(s *Sock, b []byte) error {
	s.out = b
	return p.flush(s)
}

func (p *Poller) flush(s *Sock) error {
	for len(s.out) > 0 {
		n, err := unix.Write(s.fd, s.out)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return p.wantRoom(s, true)
		case err != nil:
			return fmt.Errorf("send: %w", err)
		default:
			s.out = s.out[n:]
		}
	}
	return p.wantRoom(s, false)
}

func (p *Poller) wantRoom(s *Sock, want bool) error {
	if s.waiting == want {
		return nil
	}
	s.waiting = want
	events := uint32(unix.EPOLLIN)
	if want {
		events |= unix.EPOLLOUT
	}
	return unix.EpollCtl(p.ep, unix.EPOLL_CTL_MOD, s.fd, &unix.EpollEvent{Events: events, Fd: int32(s.fd)})
}

// Wait handles what has arrived, and waits at most d for it.
func (p *Poller) Wait(d time.Duration) error {
	n, err := unix.EpollWait(p.ep, p.events, int(d.Milliseconds()))
	if err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("epoll: %w", err)
	}
	for _, e := range p.events[:max(n, 0)] {
		s := p.socks[e.Fd]
		if s == nil {
			continue
		}
		if e.Events&unix.EPOLLOUT != 0 {
			if err := p.flush(s); err != nil {
				return err
			}
		}
		if e.Events&^unix.EPOLLOUT != 0 {
			if err := p.read(s); err != nil {
				return err
			}
		}
	}
	return nil
}

// read reads once: if more has arrived, epoll reports it again.
func (p *Poller) read(s *Sock) error {
	n, err := unix.Read(s.fd, p.buf)
	switch {
	case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("receive: %w", err)
	case n > 0:
		return s.Data(p.buf[:n])
	}
	delete(p.socks, int32(s.fd))
	if err := unix.Close(s.fd); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	if s.Ended != nil {
		return s.Ended()
	}
	return errors.New("the server ended the connection")
}
