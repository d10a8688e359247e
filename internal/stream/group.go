package stream

import (
	"context"

	logservice "github.com/harness/log-service"
)

// group is what one sync makes durable.
type group struct {
	buf   []byte // lead bytes and capacity for the header, then records
	lead  int    // bytes before the group in the block in which it begins
	items []staged
	// second is the offset from the group's header of another group that is
	// written with it; 0: there is none.
	second int
	calls  int      // of stage: about the number of writers that wait for it
	seg    *segment // set before applied
	base   int64    // offset of the header in seg

	done chan struct{} // closed when durable and published, or failed
	err  error         // valid once done is closed
}

// begin adds an empty group to the queue. The caller holds w.mu.
func (w *wal) begin(lead int64) *group {
	g := w.newGroup(lead)
	w.queue = append(w.queue, g)
	return g
}

// newGroup makes an empty group. The caller holds w.mu.
func (w *wal) newGroup(lead int64) *group {
	g := &group{lead: int(lead), done: make(chan struct{})}
	if n := len(w.buffers); n > 0 {
		g.buf, w.buffers = w.buffers[n-1], w.buffers[:n-1]
	}
	g.buf = g.buf[:0]
	g.reserve(g.lead+groupHeader, int(w.block))
	g.buf = g.buf[:g.lead+groupHeader]
	return g
}

// reserve ensures capacity for n more bytes, and for the rest of their last
// block.
func (g *group) reserve(n, block int) {
	if need := len(g.buf) + n + block; need > cap(g.buf) {
		g.buf = append(blockBuffer(max(need, 2*cap(g.buf), firstBuffer), block), g.buf...)
	}
}

// firstBuffer is the initial capacity of a group: a few typical batches.
const firstBuffer = 64 << 10

// fillBlock ends the group at the end of a block, and begins a second one
// there: an unreadable block destroys only one of them.
func (g *group) fillBlock(block int) {
	n := block - len(g.buf)%block
	if n < recordHeader {
		n += block
	}
	pad := make([]byte, n-recordHeader)
	g.reserve(n+groupHeader, block)
	g.buf = appendRecord(g.buf, record{kind: kindPad, size: uint32(len(pad)), dataCRC: checksum(pad)}, pad)
	g.second = len(g.buf) - g.lead
	g.buf = g.buf[:len(g.buf)+groupHeader]
}

// size is the bytes that the group takes in its segment.
func (g *group) size() int64 { return int64(len(g.buf) - g.lead) }

// data is the data of a record of the group.
func (g *group) data(it staged) []byte {
	at := g.lead + int(it.off) + recordHeader
	return g.buf[at : at+int(it.rec.size)]
}

// moveTo moves the group within its buffer so that lead bytes precede it.
func (g *group) moveTo(lead int, block int) {
	if lead == g.lead {
		return
	}
	size := int(g.size())
	g.reserve(max(0, lead-g.lead), block)
	copy(g.buf[lead:lead+size], g.buf[g.lead:])
	g.buf, g.lead = g.buf[:lead+size], lead
}

// wait returns once the group is durable and its lines can be read, or once ctx
// is done: the outcome is then unknown.
func (g *group) wait(ctx context.Context) error {
	if g == nil {
		return nil
	}
	select {
	case <-g.done:
		return g.err
	case <-ctx.Done():
		return &logservice.UnavailableError{Cause: ctx.Err()}
	}
}
