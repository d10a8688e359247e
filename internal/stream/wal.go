package stream

import (
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	logservice "github.com/harness/log-service"
)

const (
	// segmentBytes is the size of a segment file, allocated when it is created.
	// It is small enough that a finished one is released soon and that a start
	// on a small disk takes little; a larger group gets a file of its own.
	segmentBytes = 16 << 20
	// groupBytes is where a group ends and the next begins: large enough that a
	// sync costs little compared with its bytes, small enough that writers of
	// large batches do not all wait for one another.
	groupBytes = 2 << 20
	// keepBuffer is the largest group buffer kept for reuse, and keepBuffers is
	// how many are kept: one being written, one being filled, one between.
	keepBuffer  = 4 << 20
	keepBuffers = 3
	// stopTime limits the wait for a disk that hangs while the server stops.
	stopTime = 8 * time.Second
)

var errHangs = errors.New("the disk of the write-ahead log hangs: what was not acknowledged may not be on it")

// wal is the write-ahead log that all streams share. Records are staged into
// the newest group. One goroutine, the committer, writes group after group,
// each with one write and one sync, and then publishes its records.
type wal struct {
	folder  folder
	segment int64 // bytes of a segment file
	block   int64 // writes begin and end at multiples of it
	log     *slog.Logger
	metrics *metrics
	applied func(*group)        // publishes a durable group; called by the committer, in order
	undone  func(*group, error) // reverts a failed group; nothing is staged meanwhile
	poke    func()              // wakes the maintenance goroutine

	mu       sync.Mutex // guards the fields up to the next empty line
	queue    []*group   // oldest first; the last one fills. Never empty
	writing  *group     // by the committer; nil: none
	buffers  [][]byte   // of groups that were written
	refusal  refusal
	stopping bool
	want     int // appends that the committer waits for; 0: it does not wait

	kick chan struct{} // the committer has work
	done chan struct{} // the committer has returned

	segMu       sync.Mutex // guards the fields up to the next empty line, and those of segments that name it
	segments    []*segment // oldest first; the last is the one written to
	spares      []*spare
	spareNumber int
	spareWanted bool
	reserve     *spare // for closing and deleting on a full disk; nil: used up

	delay commitDelay

	// Owned by the committer once it runs.
	current    *segment // nil: the next group begins a new file
	nextGroup  uint64
	lastNumber uint64 // of a segment
	groups     int    // written to current
	nextStream func() uint64
	tail       []byte // the contents of the last block of current, which the next group rewrites
	roster     roster
	rewrite    bool // a replay found segments that cannot be synced

	// tight is true while the disk has no space for a whole segment: then dead
	// segments are worth more than what their compaction costs.
	tight atomic.Bool
	// left is how many bytes the current segment has left, reserved those of the
	// reserve.
	left, reserved atomic.Int64

	clock func() time.Duration // of the engine
	began atomic.Int64         // when the current write began, on that clock; 0: there is none
}

// stage adds records to the newest group, all to the same one, and returns that
// group.
func (w *wal) stage(items ...staged) (*group, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping {
		return nil, &logservice.UnavailableError{Cause: errors.New("the server is stopping")}
	}
	if err := w.refusal.ofAll(); err != nil {
		return nil, err
	}
	if err := w.refusal.full; err != nil && !w.mayFree(items) {
		return nil, err
	}
	g := w.queue[len(w.queue)-1]
	if len(g.items) == 0 {
		select {
		case w.kick <- struct{}{}:
		default:
		}
	} else if g.size() >= groupBytes {
		g = w.begin((int64(g.lead) + g.size()) % w.block)
	}
	for _, it := range items {
		it.off = g.size()
		g.reserve(recordHeader+len(it.data), int(w.block))
		g.buf = appendRecord(g.buf, it.rec, it.data)
		it.data = nil
		g.items = append(g.items, it)
	}
	g.calls++
	if w.want > 0 && g.calls >= w.want {
		w.want = 0
		w.delay.full <- struct{}{}
	}
	return g, nil
}

// stop writes what is staged, ends the committer and closes the files. If the
// disk hangs, it stops waiting after stopTime: what was not written by then was
// not acknowledged.
func (w *wal) stop() error {
	w.mu.Lock()
	w.stopping = true
	w.mu.Unlock()
	select {
	case w.kick <- struct{}{}:
	default:
	}
	t := time.NewTimer(stopTime)
	defer t.Stop()
	select {
	case <-w.done:
	case <-t.C:
		return errHangs
	}
	w.segMu.Lock()
	defer w.segMu.Unlock()
	errs := []error{w.dropSpares()}
	if w.reserve != nil {
		errs = append(errs, w.reserve.file.Close())
	}
	if w.current != nil && !w.isFull() { // give back what was allocated ahead
		errs = append(errs, w.current.file.Truncate(w.current.used))
	}
	for _, s := range w.segments {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(append(errs, w.folder.close())...)
}
