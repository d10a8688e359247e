package cli

import (
	"bufio"
	"io"
	"sync"
	"time"
)

// showAfter is how long a line may wait so that several share one write. It is not
// noticeable.
const showAfter = 20 * time.Millisecond

// liveWriter buffers writes and passes them on within showAfter. Close it.
type liveWriter struct {
	mu    sync.Mutex // guards the fields below; held while writing
	w     *bufio.Writer
	timer *time.Timer // runs while something is buffered; nil before the first write
	armed bool
	err   error // of an asynchronous write
}

func newLiveWriter(w io.Writer) *liveWriter {
	return &liveWriter{w: bufio.NewWriterSize(w, 64<<10)}
}

func (l *liveWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		return 0, l.err
	}
	n, err := l.w.Write(p)
	switch {
	case err != nil || l.armed:
	case l.timer == nil:
		l.timer = time.AfterFunc(showAfter, l.show)
		l.armed = true
	default:
		l.timer.Reset(showAfter)
		l.armed = true
	}
	return n, err
}

func (l *liveWriter) show() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = false
	if err := l.w.Flush(); err != nil && l.err == nil {
		l.err = err
	}
}

// Close writes what is buffered. It does not close the underlying writer.
func (l *liveWriter) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timer != nil {
		l.timer.Stop()
	}
	if l.err != nil {
		return l.err
	}
	return l.w.Flush()
}
