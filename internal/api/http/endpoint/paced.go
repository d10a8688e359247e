package endpoint

import (
	"io"
	"net/http"
	"time"
)

// maxWrite is how much a reader must accept within one stall time: 1 KB/s.
const maxWrite = 64 << 10

// paced writes to one reader at its pace, until it stalls.
type paced struct {
	w     io.Writer
	rc    *http.ResponseController
	stall time.Duration
	last  time.Time // of the last write
	armed time.Time // when the deadline was set last
}

// paced returns a writer for the answer to c. It holds no buffer.
func (a *API) paced(c *Call) paced {
	return paced{w: c, rc: http.NewResponseController(c.ResponseWriter), stall: a.stall}
}

func (p *paced) Write(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		p.last = time.Now()
		// Setting a deadline costs about as much as a small write, so it may be
		// old by a tenth of the time.
		if p.last.Sub(p.armed) > p.stall/10 {
			p.armed = p.last
			_ = p.rc.SetWriteDeadline(p.last.Add(p.stall + p.stall/10))
		}
		var m int
		m, err = p.w.Write(b[n:min(len(b), n+maxWrite)])
		n += m
	}
	return n, err
}

// flush sends what net/http has buffered. It follows a write.
func (p *paced) flush() error { return p.rc.Flush() }

// done removes the deadline from a connection that may serve other requests.
func (p *paced) done() { _ = p.rc.SetWriteDeadline(time.Time{}) }
