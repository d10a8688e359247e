package endpoint

import (
	"errors"
	"net"
	"strconv"
	"time"
)

// chunked writes an answer in the chunked coding of RFC 9112, section 7.1,
// straight to the connection. A chunk that the peer takes only in part is an
// owed one: what comes next goes on in it, so nothing of it has to be kept.
type chunked struct {
	conn  net.Conn
	wire  wire
	stall time.Duration
	lead  []byte // of the coding, to be sent before what is next
	owed  int    // bytes that the current chunk still lacks
	full  bool   // the peer took less than it was given
	last  time.Time
	armed time.Time // the write deadline
	buf   [32]byte  // for lead
}

// sendWindow is how many bytes a reader must take within one stall: 1 KB/s.
const sendWindow = 64 << 10

// newChunked returns the output of an answer whose head has not been sent.
func newChunked(conn net.Conn, head []byte, stall time.Duration) *chunked {
	return &chunked{conn: conn, wire: newWire(conn), stall: stall, lead: head}
}

var chunkEnd = []byte("\r\n")

// send implements output.
func (o *chunked) send(parts net.Buffers) (sent int, err error) {
	if err := o.arm(); err != nil {
		return 0, err
	}
	size := 0
	for _, p := range parts {
		size += len(p)
	}
	for size > 0 {
		if o.owed == 0 {
			o.begin(size)
		}
		n, err := o.sendOwed(parts, size)
		sent += n
		if err != nil || o.full {
			return sent, err
		}
		parts, size = skip(parts, n), size-n
	}
	return sent, nil
}

// begin begins a chunk.
func (o *chunked) begin(size int) {
	if len(o.lead) <= len(chunkEnd) { // what is left of the last one moves to the front
		o.lead = o.buf[:copy(o.buf[:], o.lead)]
	}
	o.lead = append(strconv.AppendInt(o.lead, int64(size), 16), chunkEnd...)
	o.owed = size
}

// sendOwed sends what of parts belongs to the current chunk.
func (o *chunked) sendOwed(parts net.Buffers, size int) (n int, err error) {
	vec := partsPool.Get().(*net.Buffers)
	defer partsPool.Put(vec)
	all := append((*vec)[:0], o.lead)
	size = min(size, o.owed)
	left := size
	for _, p := range parts {
		p = p[:min(len(p), left)]
		if left -= len(p); len(p) > 0 {
			all = append(all, p)
		}
	}
	ends := size == o.owed
	if ends {
		all = append(all, chunkEnd)
	}
	lead := len(o.lead)
	n, err = o.wire.try(all)
	clear(all)
	*vec = all[:0]

	o.full = n < lead+size || ends && n < lead+size+len(chunkEnd)
	if n < lead {
		o.lead = o.lead[n:]
		return 0, err
	}
	o.lead = nil
	n -= lead
	if ends && n >= size {
		o.lead = chunkEnd[n-size:]
	}
	n = min(n, size)
	o.owed -= n
	return n, err
}

// arm gives the peer one stall to take something. Setting a deadline costs
// about as much as a small write: one that is old by a tenth of the stall is
// kept.
func (o *chunked) arm() error {
	o.last = time.Now()
	until := o.last.Add(o.stall)
	if !until.After(o.armed) {
		return nil
	}
	o.armed = until.Add(o.stall / 10)
	return o.conn.SetWriteDeadline(o.armed)
}

// drain implements output.
func (o *chunked) drain() error {
	for o.full || o.wire.pending() {
		if err := o.arm(); err != nil {
			return err
		}
		if err := o.wire.ready(); err != nil {
			return err
		}
		o.full = false
		if len(o.lead) == 0 || o.owed > 0 {
			return nil // what is left goes with the next
		}
		if err := o.flush(); err != nil {
			return err
		}
	}
	return nil
}

// flush sends what is left of the coding.
func (o *chunked) flush() error {
	n, err := o.wire.try([][]byte{o.lead})
	o.full = n < len(o.lead)
	o.lead = o.lead[n:]
	return err
}

var errUnfinished = errors.New("the log has changed while it was read")

// end ends the answer.
func (o *chunked) end() error {
	if o.owed > 0 {
		return errUnfinished
	}
	o.lead = append(o.lead[:len(o.lead):len(o.lead)], "0\r\n\r\n"...)
	if err := o.flush(); err != nil {
		return err
	}
	return o.drain()
}

// quiet implements output.
func (o *chunked) quiet(now time.Time) time.Duration { return now.Sub(o.last) }
