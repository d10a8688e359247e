package stream

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"slices"
	"sync"
	"time"

	logservice "github.com/harness/log-service"
)

const (
	// segmentBytes is the size of a segment file, taken from the disk when it
	// is made. Small enough that a finished one goes soon and that a start on
	// a small disk takes little; a group that is larger gets a file of its own.
	segmentBytes = 16 << 20
	// groupBytes is where a group ends and the next begins: enough that a
	// sync costs little beside the bytes that it makes durable, so few that
	// writers of large batches do not all wait for one another.
	groupBytes = 2 << 20
	// keepBuffer is the largest group buffer kept for a later group, and
	// keepBuffers how many: one that is written, one that fills, one between.
	keepBuffer  = 4 << 20
	keepBuffers = 3
	// retryPause is how long a log that could not be written refuses at once
	// before it tries a new file: a full disk must not cost a file creation a
	// request.
	retryPause = time.Second
)

// wal is the write-ahead log that all streams share. Records are staged into
// the youngest group; one goroutine, the committer, writes group after group,
// each with one write and one sync, and then publishes what it holds.
type wal struct {
	folder  folder
	segment int64 // bytes of a segment file
	block   int64 // what is written begins and ends at multiples of it
	log     *slog.Logger
	metrics *metrics
	applied func(*group)        // publishes a durable group; called by the committer, in order
	undone  func(*group, error) // takes a failed group back; nothing is staged meanwhile
	poke    func()              // wakes the keeper

	mu       sync.Mutex // guards all to the next empty line
	queue    []*group   // oldest first; the last one fills. Never empty
	writing  *group     // by the committer; nil: none
	buffers  [][]byte   // of groups that were written
	refuse   error      // why nothing is staged now
	until    time.Time  // when that ends; zero: not yet known
	stopping bool
	want     int // appends that the committer waits for, 0: it does not

	kick chan struct{} // the committer has work
	done chan struct{} // the committer has returned

	segMu       sync.Mutex // guards all to the next empty line, and what segments say of it
	segments    []*segment // oldest first; the last is the one written to
	spares      []*spare
	spareNumber int
	spareWanted bool

	gather gathering

	// Owned by the committer once it runs.
	current    *segment // nil: the next group begins a new file
	nextGroup  uint64
	lastNumber uint64 // of a segment
	groups     int    // written to current
	nextStream func() uint64
	tail       []byte // what stands in the last block of current, which the next group goes on with
}

// segment is one file of the log.
type segment struct {
	number  uint64
	name    string
	file    file
	size    int64 // of the file
	used    int64 // bytes of header and whole groups; read by others once sealed
	live    int   // streams that need it; guarded by wal.segMu
	sealed  bool  // nothing is written to it any more; guarded by wal.segMu
	gone    bool  // released: its file may be another segment's by now; guarded by wal.segMu
	damaged bool  // holds a record that cannot be read; never removed by itself; guarded by wal.segMu
}

// stage adds records to the youngest group, all to the same one, and returns
// that group.
func (w *wal) stage(items ...staged) (*group, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopping {
		return nil, &logservice.UnavailableError{Cause: errors.New("the server is stopping")}
	}
	if w.refuse != nil {
		if w.until.IsZero() || time.Now().Before(w.until) {
			return nil, w.refuse
		}
		w.refuse = nil
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
		w.gather.full <- struct{}{}
	}
	return g, nil
}

// run is the committer. It ends when stop was called and all is written.
func (w *wal) run() {
	defer close(w.done)
	for range w.kick {
		for {
			w.await()
			g, stopping := w.take()
			if stopping {
				return
			}
			if g == nil {
				break
			}
			began := time.Now()
			w.commit(g)
			w.mu.Lock()
			w.writing = nil
			w.gather.after(g.calls+w.waiting(), time.Since(began))
			w.mu.Unlock()
		}
	}
}

// take removes the oldest group from the queue; nil when there is nothing to
// write.
func (w *wal) take() (g *group, stopping bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	g = w.queue[0]
	if len(g.items) == 0 {
		return nil, w.stopping
	}
	if len(w.queue) == 1 {
		w.begin(w.leadBehind(g))
	}
	w.queue = append(w.queue[:0], w.queue[1:]...)
	w.writing = g
	return g, false
}

// settle waits until all that was staged before is durable. An error says
// that some of it was taken back.
func (w *wal) settle() error {
	w.mu.Lock()
	g := w.queue[len(w.queue)-1]
	if len(g.items) == 0 {
		g = w.writing
	}
	w.mu.Unlock()
	return g.wait()
}

// leadBehind is where in its block a group will begin that follows g, the
// next one to be written.
func (w *wal) leadBehind(g *group) int64 {
	if w.current == nil || !w.fits(g) {
		return (segmentHeader + g.size()) % w.block
	}
	return (w.current.used + g.size()) % w.block
}

func (w *wal) fits(g *group) bool { return w.current.used+g.size() <= w.current.size }

// waiting is how many appends are staged. The caller holds w.mu.
func (w *wal) waiting() (calls int) {
	for _, g := range w.queue {
		calls += g.calls
	}
	return calls
}

func (w *wal) commit(g *group) {
	began := time.Now()
	if err := w.write(g); err != nil {
		w.metrics.failures.Inc()
		w.fail(g, err)
		return
	}
	w.metrics.committed(g.calls, int(g.size()), time.Since(began))
	w.applied(g)
	w.mu.Lock()
	if cap(g.buf) <= keepBuffer && len(w.buffers) < keepBuffers {
		w.buffers = append(w.buffers, g.buf)
	}
	w.mu.Unlock()
	g.buf = nil
	close(g.done)
}

// write makes g durable. An error leaves the current segment behind for good:
// what a failed sync left on disk is unknown, and the number of its group is
// given again in the next segment, whose header tells a replay so.
//
// Whole blocks are written, so that the disk can take them from our memory:
// the block that the last group ended in is written again, with what it has.
func (w *wal) write(g *group) error {
	if w.current == nil || !w.fits(g) {
		if err := w.rotate(g.size()); err != nil {
			return err
		}
	}
	seg := w.current
	g.moveTo(len(w.tail), int(w.block))
	copy(g.buf, w.tail)
	putGroup(g.buf[g.lead:], seg.number, w.nextGroup)
	n := len(g.buf)
	blocks := g.buf[:w.roundUp(int64(n))]
	clear(blocks[n:])
	_, err := seg.file.WriteAt(blocks, seg.used-int64(g.lead))
	if err == nil {
		err = seg.file.Sync()
	}
	if err != nil {
		w.seal(seg)
		w.current = nil
		return err
	}
	g.seg, g.base = seg, seg.used
	seg.used += g.size()
	w.tail = append(w.tail[:0], g.buf[n-n%int(w.block):]...)
	w.nextGroup++
	w.groups++
	return nil
}

func (w *wal) roundUp(n int64) int64 { return (n + w.block - 1) / w.block * w.block }

// rotate begins a new segment with room for a group of need bytes.
func (w *wal) rotate(need int64) error {
	w.lastNumber++
	seg := &segment{number: w.lastNumber, name: segmentName(w.lastNumber), used: segmentHeader}
	seg.size = max(w.segment, w.roundUp(segmentHeader+need))
	head := segmentHead{number: seg.number, firstGroup: w.nextGroup, nextStream: w.nextStream()}
	f, err := w.makeFile(seg, head)
	if err != nil {
		return err
	}
	seg.file = f
	if w.current != nil {
		w.seal(w.current)
	}
	w.segMu.Lock()
	w.segments = append(w.segments, seg)
	w.spareWanted = w.groups >= syncsWorthASpare
	w.segMu.Unlock()
	w.poke()
	w.current, w.groups = seg, 0
	return nil
}

// makeFile makes the file of a segment, with its header, durably.
func (w *wal) makeFile(seg *segment, head segmentHead) (f file, err error) {
	name := seg.name
	var from *spare
	if seg.size == w.segment {
		from = w.takeSpare()
	}
	if from != nil {
		f, name, head.reused = from.file, from.name, true
	} else if f, err = w.folder.create(name, seg.size); err != nil {
		return nil, err
	}
	w.tail = head.appendTo(w.tail[:0])
	first := append(blockBuffer(int(w.block), int(w.block)), w.tail...)
	_, err = f.WriteAt(first[:w.block], 0)
	if err == nil {
		err = f.Sync()
	}
	if err == nil && from != nil { // with its header on disk only, it takes the name
		if err = w.folder.rename(name, seg.name); err == nil {
			name = seg.name
		}
	}
	if err == nil {
		err = w.folder.sync()
	}
	if err != nil {
		return nil, errors.Join(err, f.Close(), w.folder.remove(name))
	}
	return f, nil
}

func (w *wal) seal(seg *segment) {
	w.segMu.Lock()
	seg.sealed = true
	w.segMu.Unlock()
	seg.file.Seal()
}

// fail takes g back, and what was staged since: it stands on g's sequences.
func (w *wal) fail(g *group, cause error) {
	err := &logservice.UnavailableError{Cause: fmt.Errorf("write-ahead log: %w", cause), RetryAfter: 2 * time.Second}
	w.log.Error("write-ahead log cannot be written; appends are refused until it can", "error", cause)
	w.mu.Lock()
	failed := append([]*group{g}, w.queue...)
	w.queue = nil
	w.begin(0)
	w.refuse, w.until = err, time.Time{}
	w.mu.Unlock()
	for _, x := range slices.Backward(failed) { // the newest is undone first
		x.err = err
		w.undone(x, err)
		x.buf = nil
	}
	w.mu.Lock()
	w.until = time.Now().Add(retryPause)
	w.mu.Unlock()
	for _, x := range failed {
		close(x.done)
	}
}

// stop writes what is staged, ends the committer and closes the files.
func (w *wal) stop() error {
	w.mu.Lock()
	w.stopping = true
	w.mu.Unlock()
	select {
	case w.kick <- struct{}{}:
	default:
	}
	<-w.done
	w.segMu.Lock()
	defer w.segMu.Unlock()
	errs := []error{w.dropSpares()}
	if w.current != nil { // give back what was taken ahead
		errs = append(errs, w.current.file.Truncate(w.current.used))
	}
	for _, s := range w.segments {
		errs = append(errs, s.file.Close())
	}
	return errors.Join(errs...)
}

func segmentName(n uint64) string { return fmt.Sprintf("%016x.wal", n) }

// use notes that a stream needs seg, letGo that it does not any more.
func (w *wal) use(seg *segment) {
	w.segMu.Lock()
	seg.live++
	w.segMu.Unlock()
}

func (w *wal) letGo(segs []*segment) {
	w.segMu.Lock()
	for _, s := range segs {
		s.live--
	}
	w.segMu.Unlock()
}

// oldest returns the first segment if it is sealed, and the bytes of all.
func (w *wal) oldest() (seg *segment, live int, total int64) {
	w.segMu.Lock()
	defer w.segMu.Unlock()
	for _, s := range w.segments {
		if s.sealed {
			total += s.used
		}
	}
	if len(w.segments) == 0 || !w.segments[0].sealed {
		return nil, 0, total
	}
	return w.segments[0], w.segments[0].live, total
}

// release removes the oldest segment, which no stream needs. Only the oldest
// ever goes: the record that deletes a stream must outlive the records that
// made it. A damaged one is kept on disk under another name.
func (w *wal) release(seg *segment) error {
	w.segMu.Lock()
	damaged := seg.damaged
	seg.gone = true
	w.segMu.Unlock()
	var err error
	if damaged {
		err = w.folder.rename(seg.name, seg.name+damagedSuffix)
	} else {
		err = w.recycle(seg)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		// Gone for good before the next one goes, or a restart might find
		// this one without the records that end its streams.
		err = w.folder.sync()
	}
	if err != nil {
		return err
	}
	w.segMu.Lock()
	w.segments = w.segments[1:]
	w.segMu.Unlock()
	return seg.file.Close()
}

const damagedSuffix = ".damaged"
