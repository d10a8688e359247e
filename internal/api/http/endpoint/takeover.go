package endpoint

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/logs"
)

// Tails is the connections that tails have taken over from net/http, which no
// longer waits for them. The zero value is ready to use.
type Tails struct {
	mu    sync.Mutex
	conns map[net.Conn]struct{} // guarded by mu
	work  sync.WaitGroup
}

// lastWrite is how long a reader may take to receive what is being written
// to it when the server stops. It resumes elsewhere from the last whole line.
const lastWrite = 2 * time.Second

// Hurry limits the time of the current write of every tail, once Config.Stop
// has requested their end.
func (t *Tails) Hurry() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c := range t.conns {
		_ = c.SetWriteDeadline(time.Now().Add(lastWrite))
	}
}

// Wait returns once every tail has ended, which Config.Stop requests.
func (t *Tails) Wait() {
	t.Hurry()
	t.work.Wait()
}

func (t *Tails) add(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.conns == nil {
		t.conns = make(map[net.Conn]struct{})
	}
	t.conns[c] = struct{}{}
	t.work.Add(1)
}

func (t *Tails) remove(c net.Conn) {
	_ = c.Close()
	t.mu.Lock()
	delete(t.conns, c)
	if len(t.conns) == 0 {
		t.conns = nil // a map never shrinks
	}
	t.mu.Unlock()
	t.work.Done()
}

// takeOver continues a tail without net/http. A reader costs a third of the
// memory (no buffers, no request), and the encoded batches that all readers
// share go from memory to the socket in one system call, without a copy.
func (a *API) takeOver(c *Call, cursor logs.Reader) error {
	head := responseHead(c.Header())
	conn, _, err := http.NewResponseController(c.ResponseWriter).Hijack()
	if err != nil {
		cursor.Close()
		return err
	}
	c.status = http.StatusOK
	_ = conn.SetDeadline(time.Time{})
	a.tails.add(conn)
	go a.run(conn, head, cursor, c.ID, c.grant())
	return nil
}

// responseHead is the head of a chunked HTTP/1.1 response.
func responseHead(h http.Header) []byte {
	var b bytes.Buffer
	b.WriteString("HTTP/1.1 200 OK\r\n")
	_ = h.Write(&b) // a buffer accepts everything
	b.WriteString("Date: " + time.Now().UTC().Format(http.TimeFormat) + "\r\nTransfer-Encoding: chunked\r\n\r\n")
	return b.Bytes()
}

// run is a tail on its own connection, from head to end.
func (a *API) run(conn net.Conn, head []byte, cursor logs.Reader, requestID string, grant auth.Grant) {
	defer a.tails.remove(conn)
	defer cursor.Close()
	defer func() {
		if p := recover(); p != nil {
			a.log.Error("panic", "request_id", requestID, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	ctx, gone := context.WithCancel(context.Background())
	defer a.auth.OnRevoked(grant, gone)()
	var watch sync.WaitGroup
	watch.Go(func() { watchPeer(conn, gone) })
	defer watch.Wait()
	defer conn.Close() // ends the watch

	out := newChunked(conn, head, a.stall)
	err := a.follow(ctx, cursor, out)
	if err == nil {
		err = out.end()
	}
	level := slog.LevelDebug
	if err != nil && !lostPeer(err) {
		level = slog.LevelError
	}
	a.log.Log(ctx, level, "tail ended", "request_id", requestID, "error", err)
}

// watchPeer calls gone when the peer hangs up. What it may send is ignored.
func watchPeer(conn net.Conn, gone func()) {
	defer gone()
	var b [64]byte
	for {
		if _, err := conn.Read(b[:]); err != nil {
			return
		}
	}
}

// partsPool holds lists of parts: a reader needs one only while it sends.
var partsPool = sync.Pool{New: func() any { return new(net.Buffers) }}
