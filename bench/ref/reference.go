package ref

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/harness/log-service/bench/load"
)

// References are what a server could at best do with the same bytes, on
// plain net/http. They run in a process of their own, so that their CPU
// is measured as the server's is.
const (
	Discard = "discard" // reads the body and forgets it: the limit of the transport
	Scan    = "scan"    // splits the array into objects, and forgets them: the limit of an honest server
	FanOut  = "fan-out" // keeps prepared frames in memory and writes them to its readers
)

// Serve serves the reference of a kind at addr, and GRPC also at grpcAddr.
func Serve(kind, addr, grpcAddr string) error {
	if _, err := load.Loopback(addr); err != nil {
		return err
	}
	var h http.Handler
	switch kind {
	case Discard:
		h = http.HandlerFunc(discard)
	case Scan:
		h = &scanner{}
	case GRPC:
		h = http.HandlerFunc(discard) // answers the calls that prepare a scenario
		go func() {
			fmt.Fprintln(os.Stderr, "gRPC:", serveGRPC(grpcAddr))
			os.Exit(1)
		}()
	case FanOut:
		h = &hub{streams: map[string]*frames{}}
	default:
		return fmt.Errorf("no reference %q", kind)
	}
	return http.ListenAndServe(addr, h)
}

func discard(w http.ResponseWriter, r *http.Request) {
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// scanner splits bodies with jsontext, in memory that is used again.
type scanner struct{ pool sync.Pool }

type scan struct {
	body bytes.Buffer
	dec  jsontext.Decoder
}

func (s *scanner) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sc, ok := s.pool.Get().(*scan)
	if !ok {
		sc = new(scan)
	}
	defer s.pool.Put(sc)
	sc.body.Reset()
	sc.body.Grow(int(max(r.ContentLength, 0)) + bytes.MinRead)
	if _, err := sc.body.ReadFrom(r.Body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if sc.body.Len() > 0 {
		if _, err := sc.split(); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

func (s *scan) split() (n int, err error) {
	s.dec.Reset(&s.body, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if _, err := s.dec.ReadToken(); err != nil {
		return 0, err
	}
	for s.dec.PeekKind() == '{' {
		if _, err := s.dec.ReadValue(); err != nil {
			return n, err
		}
		n++
	}
	_, err = s.dec.ReadToken()
	return n, err
}

// hub is a bare fan-out: no checks, no limits, no durability.
type hub struct {
	mu      sync.Mutex
	streams map[string]*frames
}

// frames are the prepared frames of one stream.
type frames struct {
	mu      sync.Mutex
	batches [][]byte
	next    int64
	wake    chan struct{} // closed at every change
	closed  bool
}

func (h *hub) stream(key string) *frames {
	h.mu.Lock()
	defer h.mu.Unlock()
	f := h.streams[key]
	if f == nil {
		f = &frames{next: 1, wake: make(chan struct{})}
		h.streams[key] = f
	}
	return f
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := h.stream(r.URL.Query().Get("key"))
	switch r.Method {
	case http.MethodPut:
		body := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		f.append(body)
	case http.MethodDelete:
		f.end()
	case http.MethodGet:
		if r.URL.Path == "/stream" {
			f.tail(w, r)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// append prepares the frames of a body. It knows what the generator's bodies
// look like and does not check them.
func (f *frames) append(body []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make([]byte, 0, len(body)+len(body)/6+64)
	body = body[1 : len(body)-1]
	for len(body) > 0 {
		line := body
		if i := bytes.Index(body, []byte("},{")); i >= 0 {
			line, body = body[:i+1], body[i+2:]
		} else {
			body = nil
		}
		out = append(out, "id: "...)
		out = strconv.AppendInt(out, f.next, 10)
		out = append(out, "\ndata: "...)
		out = append(out, line...)
		out = append(out, "\n\n"...)
		f.next++
	}
	f.batches = append(f.batches, out)
	f.wakeUp()
}

func (f *frames) end() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	f.wakeUp()
}

func (f *frames) wakeUp() {
	close(f.wake)
	f.wake = make(chan struct{})
}

// since returns the batches from index i on, 256 KiB of them at most as the
// server's cursors do.
func (f *frames) since(i int) (news [][]byte, closed bool, wake chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	size, end := 0, i
	for end < len(f.batches) && (end == i || size+len(f.batches[end]) <= 256<<10) {
		size += len(f.batches[end])
		end++
	}
	return f.batches[i:end], f.closed, f.wake
}

// tail writes what arrives until the stream ends or the client leaves.
func (f *frames) tail(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	news, i := [][]byte{[]byte(": ping\n")}, 0
	flusher := http.NewResponseController(w)
	for {
		for _, b := range news {
			if _, err := w.Write(b); err != nil {
				return
			}
		}
		if flusher.Flush() != nil {
			return
		}
		var closed bool
		var wake chan struct{}
		for news, closed, wake = f.since(i); len(news) == 0; news, closed, wake = f.since(i) {
			if closed {
				// A client that is gone has no use for the end.
				_, _ = io.WriteString(w, "event: error\ndata: eof\n\n")
				return
			}
			select {
			case <-wake:
			case <-r.Context().Done():
				return
			}
		}
		i += len(news)
	}
}
