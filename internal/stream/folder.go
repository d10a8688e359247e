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

// folder is where segments are stored: a directory in the server; in tests also
// one that loses what was not synced.
type folder interface {
	// block is the unit in which segments are written.
	block() int64
	// create creates a file of size bytes, all zero; it is durable after sync.
	create(name string, size int64) (file, error)
	// open opens a file for reading, and also for writing if write is set.
	open(name string, write bool) (file, int64, error)
	remove(name string) error
	rename(from, to string) error
	list() ([]string, error)
	// sync makes previous creations, renames and removals durable.
	sync() error
	// refill replaces reserve descriptors that were used up.
	refill()
	close() error
}

type file interface {
	io.ReaderAt
	// WriteAt overwrites existing bytes. Whole blocks in a blockBuffer are
	// written directly to the disk, without a copy in the system's cache.
	io.WriterAt
	io.Closer
	// Seal ends all writing to the file.
	Seal()
	// Sync makes all writes durable. After an error, nothing written since the
	// last Sync may be trusted.
	Sync() error
	Truncate(size int64) error
	// Extend allocates space up to size; new space reads as zeros.
	Extend(size int64) error
}

// directory is the real folder.
type directory struct {
	path string
	self *os.File // to sync it

	mu    sync.Mutex // guards spare
	spare []*os.File
}

// spareDescriptors are reserved for the log's own files: a segment and its
// second handle, twice. So connections that use up all others stop no append.
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

// spend closes the reserve descriptors.
func (d *directory) spend() (spent bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.spare {
		_ = f.Close() // read-only: nothing can be lost
	}
	spent = len(d.spare) > 0
	d.spare = nil
	return spent
}

// openFile is os.OpenFile. It uses the reserve descriptors if there are no
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
	// With space allocated in advance a sync is cheaper (the file's size does
	// not change), and a full disk shows here, before anything is acknowledged.
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

// segmentFile is read through the system's cache and written past it, where the
// file system supports that: lines are rarely read back, and the cache would
// need a copy and a page of memory per block.
type segmentFile struct {
	*os.File
	direct *os.File // nil if writes go through the cache, too
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

// blockSize is the alignment that disks and file systems require for writes
// past the cache: 4096 works for all in use.
const blockSize = 4096

func (d *directory) block() int64 { return blockSize }

// blockBuffer returns an empty buffer with capacity for n bytes, whose address
// is a multiple of block, as writes past the cache require.
func blockBuffer(n, block int) []byte {
	b := make([]byte, n+block-1)
	at := int(-uintptr(unsafe.Pointer(unsafe.SliceData(b))) & uintptr(block-1))
	return b[at : at : at+n]
}

// blocks reports whether p and off are made of whole blocks.
func blocks(p []byte, off int64) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(p)))%blockSize == 0 && len(p)%blockSize == 0 && off%blockSize == 0
}
