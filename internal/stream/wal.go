package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
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
	// retryPause is how long a log that could not be written refuses at once
	// before it tries a new file: a full disk must not cost one file creation
	// per request.
	retryPause = time.Second
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

	mu       sync.Mutex    // guards the fields up to the next empty line
	queue    []*group      // oldest first; the last one fills. Never empty
	writing  *group        // by the committer; nil: none
	buffers  [][]byte      // of groups that were written
	failure  error         // of the last write, until one succeeds; not of a full disk
	until    time.Time     // nothing can be staged before; zero: not yet known
	full     error         // why only what frees space can be staged
	reverted chan struct{} // closed once the failed groups are reverted; nil: none is being reverted
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
	if w.failure != nil && (w.until.IsZero() || time.Now().Before(w.until)) {
		return nil, w.failure
	}
	if w.full != nil && !w.mayFree(items) {
		return nil, w.full
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

// run is the committer. It ends when stop was called and everything is written.
func (w *wal) run() {
	defer close(w.done)
	idle := time.NewTimer(rosterIdle)
	for {
		select {
		case <-w.kick:
			if stopping := w.drain(); stopping {
				w.commitRoster()
				return
			}
		case <-idle.C:
			w.commitRoster()
		}
		if w.isFailing() {
			idle.Reset(retryPause)
		} else if len(w.roster.changed) > 0 {
			idle.Reset(rosterIdle)
		}
	}
}

// drain commits all staged groups.
func (w *wal) drain() (stopping bool) {
	for {
		w.await()
		g, stopping := w.take()
		if g == nil {
			return stopping
		}
		began := w.clock()
		w.commit(g)
		w.mu.Lock()
		w.writing = nil
		w.delay.observe(g.calls+w.waiting(), w.clock()-began)
		w.mu.Unlock()
	}
}

// commitRoster writes the changes in a group of its own. After a failure it
// also finds out whether the log can be written again.
func (w *wal) commitRoster() {
	if len(w.roster.changed) == 0 && !w.isFailing() || w.isFull() {
		return
	}
	w.mu.Lock()
	g := w.newGroup(0)
	w.mu.Unlock()
	if w.current != nil {
		g.moveTo(len(w.tail), int(w.block))
		g.fillBlock(int(w.block))
	}
	w.roster.at = w.clock() - rosterPause // due
	w.commit(g)
}

// take removes the oldest group from the queue. It returns nil if there is
// nothing to write.
func (w *wal) take() (g *group, stopping bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g = w.queue[0]
	if len(g.items) == 0 {
		return nil, w.stopping
	}
	if len(w.queue) == 1 {
		w.begin(w.leadAfter(g))
	}
	w.queue = append(w.queue[:0], w.queue[1:]...)
	w.writing = g
	return g, false
}

// settle waits until everything that was staged before is durable or reverted.
func (w *wal) settle(ctx context.Context) error {
	if err := w.awaitReverted(ctx); err != nil {
		return err
	}
	w.mu.Lock()
	g := w.queue[len(w.queue)-1]
	if len(g.items) == 0 {
		g = w.writing
	}
	w.mu.Unlock()
	if err := g.wait(ctx); err != nil && ctx.Err() != nil {
		return err
	}
	return nil
}

// awaitReverted waits until no failed group is being reverted: meanwhile nothing
// can be staged. The caller holds no stream's lock, which reverting takes.
func (w *wal) awaitReverted(ctx context.Context) error {
	w.mu.Lock()
	reverted := w.reverted
	w.mu.Unlock()
	if reverted == nil {
		return nil
	}
	select {
	case <-reverted:
		return nil
	case <-ctx.Done():
		return &logservice.UnavailableError{Cause: ctx.Err()}
	}
}

// leadAfter is the offset in its block at which a group will begin that follows
// g, the next one to be written.
func (w *wal) leadAfter(g *group) int64 {
	if !w.takes(g) {
		return (segmentHeader + g.size()) % w.block
	}
	return (w.current.used + g.size()) % w.block
}

// takes reports whether g may be written to the current segment. One that was the
// reserve is for what frees space alone, also once the disk has space again.
func (w *wal) takes(g *group) bool {
	return w.current != nil && w.fits(g) && (!w.current.reserve || g.onlyFrees())
}

func (w *wal) fits(g *group) bool { return w.current.used+g.size() <= w.current.size }

func (w *wal) isFull() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.full != nil
}

func (w *wal) isFailing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failure != nil
}

// waiting is how many appends are staged. The caller holds w.mu.
func (w *wal) waiting() (calls int) {
	for _, g := range w.queue {
		calls += g.calls
	}
	return calls
}

func (w *wal) commit(g *group) {
	began := w.clock()
	w.began.Store(int64(began))
	err := w.write(g, began)
	now := w.clock()
	w.began.Store(0)
	if err != nil {
		w.metrics.failures.Inc()
		w.roster.dropped()
		w.fail(g, err)
		return
	}
	w.roster.written(now)
	w.metrics.committed(g.calls, int(g.size()), now-began)
	w.applied(g)
	w.mu.Lock()
	w.failure = nil
	if cap(g.buf) <= keepBuffer && len(w.buffers) < keepBuffers {
		w.buffers = append(w.buffers, g.buf)
	}
	w.mu.Unlock()
	g.buf = nil
	close(g.done)
}

// write makes g durable. A failed write or sync ends the current segment for
// good: what it left on disk is unknown. The number of its group is used again
// in the next segment, whose header says so to a replay.
//
// Whole blocks are written, so that the disk can take them directly from our
// memory: the block in which the last group ended is written again.
func (w *wal) write(g *group, now time.Duration) error {
	rotating := !w.takes(g)
	if (rotating || now-w.roster.at >= rosterPause) && !w.isFull() {
		w.roster.appendTo(g, int(w.block), rotating)
	}
	if !w.takes(g) {
		if err := w.rotate(g); err != nil {
			return err
		}
	}
	seg := w.current
	g.moveTo(len(w.tail), int(w.block))
	copy(g.buf, w.tail)
	next := w.nextGroup + 1
	if at := g.lead + g.second; g.second > 0 {
		putGroup(g.buf[g.lead:at], seg.number, w.nextGroup)
		putGroup(g.buf[at:], seg.number, next)
		next++
	} else {
		putGroup(g.buf[g.lead:], seg.number, w.nextGroup)
	}
	n := len(g.buf)
	blocks := g.buf[:w.roundUp(int64(n))]
	clear(blocks[n:])
	_, err := seg.file.WriteAt(blocks, seg.used-int64(g.lead))
	if err == nil {
		err = seg.file.Sync()
	}
	if err != nil {
		w.seal(seg, true)
		w.current = nil
		w.left.Store(0)
		return err
	}
	g.seg, g.base = seg, seg.used
	seg.used += g.size()
	w.left.Store(seg.size - seg.used)
	w.tail = append(w.tail[:0], g.buf[n-n%int(w.block):]...)
	w.nextGroup = next
	w.groups++
	return nil
}

func (w *wal) roundUp(n int64) int64 { return (n + w.block - 1) / w.block * w.block }

// fail reverts g and what was staged since: it relies on g's sequences.
func (w *wal) fail(g *group, cause error) {
	err := &logservice.UnavailableError{Cause: fmt.Errorf("write-ahead log: %w", cause), RetryAfter: 2 * time.Second}
	w.log.Error("cannot write the write-ahead log: appends are refused until it can be written", "error", cause)
	full := isFull(cause)
	w.mu.Lock()
	failed := append([]*group{g}, w.queue...)
	w.queue = nil
	w.begin(0)
	w.failure, w.until, w.reverted = err, time.Time{}, make(chan struct{})
	if full {
		w.full = err
		w.tight.Store(true)
	}
	w.mu.Unlock()
	for _, x := range slices.Backward(failed) { // the newest is undone first
		x.err = err
		w.undone(x, err)
		x.buf = nil
	}
	w.mu.Lock()
	if full { // the maintenance goroutine finds out when it no longer is
		w.failure = nil
	}
	w.until = time.Now().Add(retryPause)
	close(w.reverted)
	w.reverted = nil
	w.mu.Unlock()
	for _, x := range failed {
		close(x.done)
	}
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
