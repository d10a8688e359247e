package stream

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"unsafe"
)

// folder is where segments live. The one of the running server is a
// directory; tests have one that loses what was not synced.
type folder interface {
	// block is the unit in which segments are written.
	block() int64
	// create makes a file of size bytes of zeros; it is durable after sync.
	create(name string, size int64) (file, error)
	// open opens a file for reading, and for writing where it says so.
	open(name string, write bool) (file, int64, error)
	remove(name string) error
	rename(from, to string) error
	list() ([]string, error)
	// sync makes the creations and removals so far durable.
	sync() error
	// refill takes back descriptors in reserve that were used up.
	refill()
	close() error
}

type file interface {
	io.ReaderAt
	// WriteAt overwrites what is there. Whole blocks out of a blockBuffer go
	// from there to the disk, without a copy in the system's cache.
	io.WriterAt
	io.Closer
	// Seal says that nothing will be written any more.
	Seal()
	// Sync makes what was written durable. After an error nothing of what
	// was written since the last Sync may be trusted.
	Sync() error
	Truncate(size int64) error
	// Extend allocates space up to size; what is new reads as zeros.
	Extend(size int64) error
}

// directory is the real folder.
type directory struct {
	path string
	self *os.File // to sync it

	mu    sync.Mutex // guards spare
	spare []*os.File
}

// spareDescriptors are held for the log's own files: a segment and its second
// handle, twice, so that connections which took all others stop no append.
const spareDescriptors = 4

func openDirectory(path string) (*directory, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("streams folder: %w", err)
	}
	self, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("streams folder: %w", err)
	}
	d := &directory{path: path, self: self}
	d.refill()
	return d, nil
}

// refill implements folder.
func (d *directory) refill() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.spare) < spareDescriptors {
		f, err := os.Open(d.path)
		if err != nil {
			return
		}
		d.spare = append(d.spare, f)
	}
}

// spend closes the descriptors in reserve.
func (d *directory) spend() (spent bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.spare {
		_ = f.Close() // read only: nothing can be lost
	}
	spent = len(d.spare) > 0
	d.spare = nil
	return spent
}

// openFile is os.OpenFile, with the descriptors in reserve where there are no
// others.
func (d *directory) openFile(path string, flag int) (*os.File, error) {
	f, err := os.OpenFile(path, flag, 0o600)
	if err != nil && outOfDescriptors(err) && d.spend() {
		f, err = os.OpenFile(path, flag, 0o600)
	}
	return f, err
}

func outOfDescriptors(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE)
}

func (d *directory) create(name string, size int64) (file, error) {
	path := filepath.Join(d.path, name)
	f, err := d.openFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
	if err != nil {
		return nil, err
	}
	// Space allocated ahead makes a sync cheaper (the file's size does not
	// change) and a full disk show here, before anything is promised.
	if err := allocate(f, size); err != nil {
		return nil, errors.Join(err, f.Close(), os.Remove(path))
	}
	return &segmentFile{File: f, direct: openDirect(path)}, nil
}

func (d *directory) open(name string, write bool) (file, int64, error) {
	path := filepath.Join(d.path, name)
	f, err := d.openFile(path, os.O_RDWR)
	if err != nil {
		return nil, 0, err
	}
	st, err := f.Stat()
	if err != nil {
		return nil, 0, errors.Join(err, f.Close())
	}
	x := &segmentFile{File: f}
	if write {
		x.direct = openDirect(path)
	}
	return x, st.Size(), nil
}

func (d *directory) remove(name string) error { return os.Remove(filepath.Join(d.path, name)) }

func (d *directory) rename(from, to string) error {
	return os.Rename(filepath.Join(d.path, from), filepath.Join(d.path, to))
}

func (d *directory) list() ([]string, error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, fmt.Errorf("streams folder: %w", err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

func (d *directory) sync() error { return d.self.Sync() }

func (d *directory) close() error {
	d.spend()
	return d.self.Close()
}

// segmentFile is read through the system's cache and written past it where
// the file system can: lines are read back rarely, and the cache would take a
// copy and a page of memory for each block.
type segmentFile struct {
	*os.File
	direct *os.File // nil where writes go through the cache, too
}

func (f *segmentFile) WriteAt(p []byte, off int64) (int, error) {
	if f.direct != nil && blocks(p, off) {
		n, err := f.direct.WriteAt(p, off)
		if !refusesDirect(err) {
			return n, err
		}
		f.Seal()
	}
	return f.File.WriteAt(p, off)
}

func (f *segmentFile) Sync() error { return datasync(f.File) }

func (f *segmentFile) Extend(size int64) error { return allocate(f.File, size) }

func (f *segmentFile) Seal() {
	if f.direct != nil {
		_ = f.direct.Close()
		f.direct = nil
	}
}

func (f *segmentFile) Close() error {
	f.Seal()
	return f.File.Close()
}

// blockSize is what disks and file systems ask of writes past the cache: 4096
// serves all that are in use.
const blockSize = 4096

func (d *directory) block() int64 { return blockSize }

// blockBuffer returns an empty buffer with capacity for n bytes that begins at a
// multiple of block in memory, as writes past the cache demand.
func blockBuffer(n, block int) []byte {
	b := make([]byte, n+block-1)
	at := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & uintptr(block-1))
	return b[at : at : at+n]
}

// blocks reports whether p and off are made of whole blocks.
func blocks(p []byte, off int64) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(p)))%blockSize == 0 && len(p)%blockSize == 0 && off%blockSize == 0
}
