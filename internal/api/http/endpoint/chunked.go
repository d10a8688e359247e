package endpoint

import (
	"errors"
	"net"
	"strconv"
	"time"
)

// chunked writes a response in the chunked coding of RFC 9112, section 7.1,
// directly to the connection. If the peer accepts only a part of a chunk, the
// rest is owed: whatever is sent next continues it, so nothing has to be
// buffered.
type chunked struct {
	conn  net.Conn
	wire  wire
	stall time.Duration
	lead  []byte // of the coding, to be sent before the next data
	owed  int    // bytes that the current chunk still lacks
	full  bool   // the peer accepted less than it was sent
	last  time.Time
	armed time.Time // the write deadline
	buf   [32]byte  // for lead
}

// sendWindow is how many bytes a reader must accept within one stall time: 1
// KB/s.
const sendWindow = 64 << 10

// newChunked returns the output of a response whose head has not been sent.
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
	if len(o.lead) <= len(chunkEnd) { // the rest of the last one moves to the front
		o.lead = o.buf[:copy(o.buf[:], o.lead)]
	}
	o.lead = append(strconv.AppendInt(o.lead, int64(size), 16), chunkEnd...)
	o.owed = size
}

// sendOwed sends the bytes of parts that belong to the current chunk.
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

// arm gives the peer one stall time to accept something. Setting a deadline
// costs about as much as a small write, so one that is at most a tenth of that
// time old is kept.
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
			return nil // the rest goes with the next
		}
		if err := o.flush(); err != nil {
			return err
		}
	}
	return nil
}

// flush sends the rest of the coding.
func (o *chunked) flush() error {
	n, err := o.wire.try([][]byte{o.lead})
	o.full = n < len(o.lead)
	o.lead = o.lead[n:]
	return err
}

var errUnfinished = errors.New("the log has changed while it was read")

// end ends the response.
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
