package stream

import (
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"unsafe"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// badDisk is a folder in which one sector is unreadable, in every segment file
// that exists when it goes bad.
type badDisk struct {
	folder
	sector atomic.Int64 // offset of the sector; 0: all can be read
	errno  atomic.Int64
	reads  atomic.Int64 // that failed
}

const sector = 512

func (d *badDisk) create(name string, size int64) (file, error) {
	f, err := d.folder.create(name, size)
	return &badFile{f, d, name}, err
}

func (d *badDisk) open(name string, write bool) (file, int64, error) {
	f, size, err := d.folder.open(name, write)
	return &badFile{f, d, name}, size, err
}

type badFile struct {
	file
	d    *badDisk
	name string
}

func (f *badFile) ReadAt(p []byte, off int64) (int, error) {
	bad := f.d.sector.Load()
	if bad > 0 && f.name == segmentName(1) && off < bad+sector && bad < off+int64(len(p)) {
		f.d.reads.Add(1)
		return 0, syscall.Errno(f.d.errno.Load())
	}
	return f.file.ReadAt(p, off)
}

func TestASectorThatCannotBeReadIsAGapAndItsFileStays(t *testing.T) {
	const segment = 32 << 10
	d := &badDisk{folder: newDisk()}
	d.errno.Store(int64(syscall.EIO))
	e := openOn(t, d, segment)
	defer e.Stop()
	mustOpen(t, e, "k")
	const n, each = 60, 5
	for i := range int64(n) {
		mustAppend(t, e, "k", i*each+1, each)
	}
	e.memory.Idle(e.clock() + 1)
	s, _ := e.lookup(id("k"))
	s.mu.Lock()
	bad := s.index[30]
	s.mu.Unlock()
	if bad.seg.number != 1 {
		t.Fatal("the record is not in the first segment")
	}
	d.sector.Store(int64(bad.off)/sector*sector + sector)

	check := func(when string) {
		t.Helper()
		got, lost, next := readAll(t, e, "k")
		if next != n*each+1 || lost == 0 || lost > 8*each || lost%each != 0 {
			t.Fatalf("%s: %d lines lost, next %d", when, lost, next)
		}
		count := 0
		for line := range strings.Lines(string(lines("k", 1, n*each).Data)) {
			if strings.Contains(got, line) {
				count++
			}
		}
		if int64(count) != n*each-lost || int64(strings.Count(got, "\n")) != n*each-lost {
			t.Fatalf("%s: %d lines are there, %d are reported as lost", when, count, lost)
		}
	}
	check("from disk")
	if reads := d.reads.Load(); reads > 100 {
		t.Errorf("%d reads failed until the records were found", reads)
	}
	// The others are compacted, the file stays.
	compact(t, e, segment)
	check("after compaction")
	if names, _ := d.list(); !slices.Contains(names, segmentName(1)+damagedSuffix) {
		t.Fatalf("the damaged file is not kept: %v", names)
	}
}

func TestAReadThatFailsForLackOfMeansIsNoDamage(t *testing.T) {
	for _, errno := range []syscall.Errno{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EINTR, syscall.EAGAIN} {
		t.Run(errno.Error(), func(t *testing.T) {
			d := &badDisk{folder: newDisk()}
			d.errno.Store(int64(errno))
			e := openOn(t, d, 32<<10)
			defer e.Stop()
			mustOpen(t, e, "k")
			mustBe(t, e, "k", marked("k", 1, 50), 51)
			e.memory.Idle(e.clock() + 1)
			d.sector.Store(sector)
			c, err := e.Follow(t.Context(), id("k"), 0)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if b, err := c.Next(t.Context()); !errors.Is(err, logservice.ErrUnavailable) {
				t.Fatalf("%d batches, %v, want ErrUnavailable", len(b), err)
			}
			// A retry must not be stored again because it could not be checked.
			if _, err := e.Append(t.Context(), id("k"), marked("k", 1, 50)); !errors.Is(err, logservice.ErrUnavailable) {
				t.Fatalf("a retry answers %v, want ErrUnavailable", err)
			}
			d.sector.Store(0)
			mustEqual(t, e, "k", 50)
			mustBe(t, e, "k", marked("k", 1, 50), 51)
			if _, _, damaged := e.segments(); damaged != 0 {
				t.Error("the segment counts as damaged")
			}
		})
	}
}

func TestARewoundCursorSoonReadsAsMuchAsBefore(t *testing.T) {
	e, err := Open(Config{Dir: t.TempDir(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	mustOpen(t, e, "k")
	const n, each = 100, 400
	for i := range int64(n) {
		mustAppend(t, e, "k", i*each+1, each)
	}
	e.memory.Idle(e.clock() + 1)
	c, err := e.Follow(t.Context(), id("k"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var sizes []int
	for step := range 5 {
		b, err := c.Next(t.Context())
		if err != nil || len(b) == 0 {
			t.Fatal(b, err)
		}
		size := 0
		for _, x := range b {
			size += len(x.Data)
		}
		sizes = append(sizes, size)
		if step == 0 {
			c.(logs.Reader).Rewind(1)
			e.blocks.Idle(e.clock() + 1)
		}
	}
	if sizes[1] > 2*slowBytes || sizes[0] < nextBytes || sizes[4] < nextBytes {
		t.Errorf("a cursor rewound after the first read returned %d bytes", sizes)
	}
}

func TestARewoundCursorReadsNothingTwice(t *testing.T) {
	e, err := Open(Config{Dir: t.TempDir(), Logger: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Stop()
	mustOpen(t, e, "k")
	mustAppend(t, e, "k", 1, 400)
	e.memory.Idle(e.clock() + 1)
	c, err := e.Follow(t.Context(), id("k"), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	next := func() *logs.Batch {
		b, err := c.Next(t.Context())
		if err != nil || len(b) != 1 {
			t.Fatal(b, err)
		}
		return b[0]
	}
	all := next()
	all.Encoded(func(*logs.Batch) []byte { return make([]byte, 1000) })
	if used := e.blocks.Used(); used != 0 {
		t.Errorf("%d bytes are cached while the only reader sends them", used)
	}
	c.(logs.Reader).Rewind(100)
	if used := e.blocks.Used(); used != int64(cap(all.Data))+1000 {
		t.Errorf("%d bytes are cached after the reader was rewound, want the batch and its encoded form", used)
	}
	if rest := next(); rest.First != 101 || &rest.Data[len(rest.Data)-1] != &all.Data[len(all.Data)-1] {
		t.Error("the rest was read from disk again")
	}
	e.blocks.Idle(e.clock() + 1)
	if used := e.blocks.Used(); used != 0 {
		t.Errorf("%d bytes are still counted after their eviction", used)
	}
}

// 100,000 open streams are ordinary: what few of them need is elsewhere.
func TestAnIdleStreamTakesLittleMemory(t *testing.T) {
	if size := unsafe.Sizeof(stream{}); size > 192 {
		t.Errorf("a stream has %d bytes: the next size that is allocated is 208", size)
	}
}
