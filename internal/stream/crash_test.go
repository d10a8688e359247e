package stream

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
)

var errCrashed = errors.New("the machine has stopped")

// disk is a folder that loses data. Writes, creations, renames and removals are
// uncertain until the corresponding sync; a crash keeps some of them, loses the
// others, and tears writes at sector boundaries.
type disk struct {
	mu    sync.Mutex
	names map[string]*diskFile // as the running program sees them
	safe  map[string]*diskFile // as of the last sync of the folder
	ops   int
	stop  int                                    // the operation at which the machine stops; 0: never
	fault func(op, name string) error            // asked before each operation
	bad   func(name string, from, to int64) bool // bytes that cannot be read
}

type diskFile struct {
	d    *disk
	name string
	safe []byte      // synced
	size int64       // as the running program sees it
	open []diskWrite // not synced
}

type diskWrite struct {
	off  int64
	data []byte
}

func newDisk() *disk {
	return &disk{names: map[string]*diskFile{}, safe: map[string]*diskFile{}}
}

func (d *disk) step(op, name string) error {
	d.ops++
	if d.stop > 0 && d.ops >= d.stop {
		return errCrashed
	}
	if d.fault != nil {
		return d.fault(op, name)
	}
	return nil
}

// crash returns the contents of the disk after the machine stopped.
func (d *disk) crash(r *rand.Rand) *disk {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := newDisk()
	keep := func(name string, f *diskFile) {
		b := slices.Clone(f.safe)
		for _, i := range r.Perm(len(f.open)) {
			w := f.open[i]
			for off := 0; off < len(w.data); {
				n := min(512-int((w.off+int64(off))%512), len(w.data)-off)
				if r.IntN(2) == 0 {
					if need := int(w.off) + off + n; need > len(b) {
						b = append(b, make([]byte, need-len(b))...)
					}
					copy(b[int(w.off)+off:], w.data[off:off+n])
				}
				off += n
			}
		}
		nf := &diskFile{d: after, name: name, safe: b, size: int64(len(b))}
		after.names[name], after.safe[name] = nf, nf
	}
	all := maps.Clone(d.safe)
	for name, f := range d.names {
		if all[name] == nil {
			all[name] = f
		}
	}
	for name, f := range all {
		_, was := d.safe[name]
		_, is := d.names[name]
		if was && is || r.IntN(2) == 0 {
			keep(name, f)
		}
	}
	return after
}

func (d *disk) create(name string, size int64) (file, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("create", name); err != nil {
		return nil, err
	}
	f := &diskFile{d: d, name: name, safe: make([]byte, size), size: size}
	d.names[name] = f
	return f, nil
}

func (d *disk) refill() {}

func (d *disk) close() error { return nil }

func (d *disk) open(name string, _ bool) (file, int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("open", name); err != nil {
		return nil, 0, err
	}
	f := d.names[name]
	if f == nil {
		return nil, 0, fs.ErrNotExist
	}
	return f, f.size, nil
}

func (d *disk) remove(name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("remove", name); err != nil {
		return err
	}
	delete(d.names, name)
	return nil
}

func (d *disk) rename(from, to string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("rename", from); err != nil {
		return err
	}
	d.names[to] = d.names[from]
	d.names[to].name = to
	delete(d.names, from)
	return nil
}

func (d *disk) list() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Collect(maps.Keys(d.names)), nil
}

func (d *disk) sync() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.step("sync folder", ""); err != nil {
		return err
	}
	d.safe = maps.Clone(d.names)
	return nil
}

func (f *diskFile) ReadAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.d.bad != nil && f.d.bad(f.name, off, off+int64(len(p))) {
		return 0, syscall.EIO
	}
	b := f.content()
	if off >= int64(len(b)) {
		return 0, io.EOF
	}
	n := copy(p, b[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *diskFile) content() []byte {
	if len(f.open) == 0 {
		return f.safe
	}
	b := slices.Clone(f.safe)
	for _, w := range f.open {
		if need := int(w.off) + len(w.data); need > len(b) {
			b = append(b, make([]byte, need-len(b))...)
		}
		copy(b[w.off:], w.data)
	}
	return b
}

func (f *diskFile) WriteAt(p []byte, off int64) (int, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	err := f.d.step("write", f.name)
	if err != nil && !errors.Is(err, errCrashed) {
		p = p[:len(p)/2] // a write that fails may have begun
	}
	f.open = append(f.open, diskWrite{off, slices.Clone(p)})
	f.size = max(f.size, off+int64(len(p)))
	return len(p), err
}

func (f *diskFile) Sync() error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.step("sync", f.name); err != nil {
		return err
	}
	f.safe, f.open = f.content(), nil
	return nil
}

func (f *diskFile) Truncate(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	f.safe, f.open = f.content()[:size], nil
	f.size = size
	return nil
}

func (f *diskFile) Extend(size int64) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if err := f.d.step("extend", f.name); err != nil {
		return err
	}
	if n := size - int64(len(f.safe)); n > 0 {
		f.safe = append(slices.Clone(f.safe), make([]byte, n)...)
	}
	f.size = max(f.size, size)
	return nil
}

func (f *diskFile) Close() error { return nil }

func (f *diskFile) Seal() {}

// block is a sector: crashes tear writes at its boundaries.
func (d *disk) block() int64 { return 512 }

func (f *diskFile) String() string { return fmt.Sprint(f.size, " bytes") }
