// Package faultproxy is a TCP proxy that misbehaves on purpose, for tests: it
// cuts connections after random numbers of bytes, in either direction, or all
// of them at once.
package faultproxy

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
)

// Range is a span of byte counts, Max included. The zero Range means never.
type Range struct{ Min, Max int64 }

// Config of a Proxy.
type Config struct {
	// Target is the TCP address that connections are passed on to; it is
	// dialled anew for each.
	Target string
	// Down and Up say after how many bytes from and to the target a
	// connection is cut. Exactly that many are passed on before; every
	// connection draws its own. Half of the cuts are resets, which may take
	// back bytes that their receiver has not read yet.
	Down, Up Range
	// Seed makes the draws repeatable, as far as the order of connections is.
	Seed uint64
}

// Proxy passes connections on until it is closed.
type Proxy struct {
	config   Config
	listener net.Listener
	cuts     atomic.Int64
	serving  sync.WaitGroup // accept and both directions of every connection

	mu     sync.Mutex // guards what follows
	rng    *rand.Rand
	open   map[*link]struct{}
	closed bool
}

// Listen starts a proxy on a free port of the loopback interface. Close it.
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

// Addr is the address that clients dial.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Cuts is how many connections were cut so far by their byte count.
func (p *Proxy) Cuts() int64 { return p.cuts.Load() }

// CutAll cuts every connection that is open now.
func (p *Proxy) CutAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.open {
		l.cut()
	}
}

// Close stops listening, cuts everything and waits until nothing runs.
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
		if err != nil { // the target is down: as if nobody listened
			reset(client)
			continue
		}
		p.link(client, target)
	}
}

// link is one connection through the proxy.
type link struct {
	client, target net.Conn
	hard           bool // cut with a reset, not with an orderly end
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
		l.close() // no reset: what was passed on still has to arrive
	})
}

// draw returns how many bytes may pass, or -1 for any number.
func (p *Proxy) draw(r Range) int64 {
	if r.Max <= 0 {
		return -1
	}
	return r.Min + p.rng.Int64N(r.Max-r.Min+1)
}

// pass copies until the source ends or limit bytes have passed.
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
	if tcp, ok := to.(*net.TCPConn); ok { // an orderly end is passed on
		_ = tcp.CloseWrite()
	}
}

// cut ends both sides; what was written before may or may not arrive where
// the cut is hard.
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
