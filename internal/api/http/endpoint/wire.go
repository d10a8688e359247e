package endpoint

import (
	"io"
	"sync"
)

// wire is a connection to a peer that may accept less than it is sent.
type wire interface {
	// try writes parts as far as the peer accepts them without waiting, and
	// returns the number of bytes. It keeps none of them.
	try(parts [][]byte) (n int, err error)
	// ready returns once the peer accepts more, or when the connection's write
	// deadline has passed. It follows a try that wrote less than it was given,
	// or if pending.
	ready() error
	// pending reports whether what try accepted is sent only by ready.
	pending() bool
}

// pieceBytes is how much is written at once over a wire that does not know how
// much its peer accepts: that much is held while the peer stalls. It is the
// size of a TLS record.
const pieceBytes = 16 << 10

// piecePool holds buffers of that size.
var piecePool = sync.Pool{New: func() any { return new([pieceBytes]byte) }}

// pieces is the wire over a writer that blocks: it copies one piece at a time,
// and ready writes it.
type pieces struct {
	write func(p []byte) error
	buf   *[pieceBytes]byte // nil: nothing waits
	n     int
}

func (w *pieces) try(parts [][]byte) (n int, err error) {
	if w.buf != nil {
		return 0, nil
	}
	w.buf = piecePool.Get().(*[pieceBytes]byte)
	w.n = fill(w.buf[:], parts)
	return w.n, nil
}

func (w *pieces) pending() bool { return w.buf != nil }

func (w *pieces) ready() error {
	if w.buf == nil {
		return nil
	}
	err := w.write(w.buf[:w.n])
	piecePool.Put(w.buf)
	w.buf = nil
	return err
}

// fill copies as much of parts into buf as fits.
func fill(buf []byte, parts [][]byte) (n int) {
	for _, p := range parts {
		m := copy(buf[n:], p)
		if n += m; m < len(p) {
			break
		}
	}
	return n
}

// skip returns the rest of parts after n bytes. It changes the slice, not the
// bytes.
func skip(parts [][]byte, n int) [][]byte {
	for len(parts) > 0 && n >= len(parts[0]) {
		n -= len(parts[0])
		parts = parts[1:]
	}
	if len(parts) > 0 {
		parts[0] = parts[0][n:]
	}
	return parts
}

// whole writes all of p.
func whole(w io.Writer) func([]byte) error {
	return func(p []byte) error { _, err := w.Write(p); return err }
}
