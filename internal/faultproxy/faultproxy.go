// Package faultproxy is a TCP proxy for tests that injects faults: it cuts
// connections after random numbers of bytes, in either direction, or all of them
// at once.
package faultproxy

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
)

// Range is a range of byte counts, including Max. The zero Range means never.
type Range struct{ Min, Max int64 }

// Config configures a Proxy.
type Config struct {
	// Target is the TCP address to forward to, dialed for each connection.
	Target string
	// Down and Up are the ranges of bytes, from and to the target, after which a
	// connection is cut. Each connection draws its own limit, and exactly that
	// many bytes are forwarded. Half of the cuts are resets, which may discard
	// bytes that the receiver has not read yet.
	Down, Up Range
	// Seed makes the draws repeatable, given the same order of connections.
	Seed uint64
}

// Proxy forwards connections until it is closed.
type Proxy struct {
	config   Config
	listener net.Listener
	cuts     atomic.Int64
	serving  sync.WaitGroup // accept and both directions of every connection

	mu     sync.Mutex // guards the fields below
	rng    *rand.Rand
	open   map[*link]struct{}
	closed bool
}

// Listen starts a proxy on a free port of the loopback interface. The caller must
// close it.
func Listen(c Config) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{
		config:   c,
		listener: l,
		rng:      rand.New(rand.NewPCG(c.Seed, 0)),
		open:     make(map[*link]struct{}),
	}
	p.serving.Go(p.accept)
	return p, nil
}

// Addr returns the address that clients dial.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cuts returns how many connections have been cut by their byte count.
func (p *Proxy) Cuts() int64 { return p.cuts.Load() }

// CutAll cuts every open connection.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.open {
		l.cut()
	}
}

// Close stops listening, cuts everything and waits for all goroutines.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	err := p.listener.Close()
	p.CutAll()
	p.serving.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return // closed
		}
		target, err := net.Dial("tcp", p.config.Target)
		if err != nil { // the target is down: behave as if nobody listened
			reset(client)
			continue
		}
		p.link(client, target)
	}
}

// link is one connection through the proxy.
type link struct {
	client, target net.Conn
	hard           bool // cut with a reset instead of an orderly close
}

func (p *Proxy) link(client, target net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &link{client: client, target: target, hard: p.rng.IntN(2) == 0}
	if p.closed {
		l.cut()
		return
	}
	down, up := p.draw(p.config.Down), p.draw(p.config.Up)
	p.open[l] = struct{}{}
	var both sync.WaitGroup
	both.Go(func() { p.pass(l, client, target, down) })
	both.Go(func() { p.pass(l, target, client, up) })
	p.serving.Go(func() {
		both.Wait()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.open, l)
		l.close() // no reset: forwarded bytes must still arrive
	})
}

// draw returns how many bytes may be forwarded, or -1 for no limit.
func (p *Proxy) draw(r Range) int64 {
	if r.Max <= 0 {
		return -1
	}
	return r.Min + p.rng.Int64N(r.Max-r.Min+1)
}

// pass copies until the source ends or limit bytes have been forwarded.
func (p *Proxy) pass(l *link, to, from net.Conn, limit int64) {
	var err error
	if limit < 0 {
		_, err = io.Copy(to, from)
	} else if _, err = io.CopyN(to, from, limit); err == nil {
		p.cuts.Add(1)
		l.cut()
		return
	}
	if err != nil && !errors.Is(err, io.EOF) {
		l.cut()
		return
	}
	if tcp, ok := to.(*net.TCPConn); ok { // forward an orderly close
		_ = tcp.CloseWrite()
	}
}

// cut ends both sides. If hard is set, bytes already forwarded may not arrive.
func (l *link) cut() {
	if l.hard {
		reset(l.client)
		reset(l.target)
		return
	}
	l.close()
}

func (l *link) close() {
	_ = l.client.Close()
	_ = l.target.Close()
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}
