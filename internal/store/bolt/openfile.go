package bolt

import "sync"

// openFiles are the blob files that are being read: one descriptor each,
// however many readers a blob has.
type openFiles struct {
	mu   sync.Mutex // guards what follows
	byID map[uint64]*openFile
}

// openFile is a blob file of a generation, shared by its readers.
type openFile struct {
	file
	all        *openFiles
	generation uint64
	readers    int // guarded by openFiles.mu
}

// open returns the file of a generation, which create opens if nobody reads it.
// Each caller closes it once.
func (o *openFiles) open(generation uint64, create func() (file, error)) (file, error) {
	if f := o.share(generation, nil); f != nil {
		return f, nil
	}
	f, err := create() // without the lock: a disk may hang
	if err != nil {
		return nil, err
	}
	return o.share(generation, f), nil
}

// share returns the file of a generation for one more reader: the one that is
// open, or fresh. Nil: it is not open, and fresh is nil.
func (o *openFiles) share(generation uint64, fresh file) file {
	o.mu.Lock()
	defer o.mu.Unlock()
	f := o.byID[generation]
	switch {
	case f != nil && fresh != nil:
		_ = fresh.Close() // another reader was faster; read only: nothing can be lost
	case f == nil && fresh == nil:
		return nil
	case f == nil:
		f = &openFile{file: fresh, all: o, generation: generation}
		if o.byID == nil {
			o.byID = make(map[uint64]*openFile)
		}
		o.byID[generation] = f
	}
	f.readers++
	return f
}

// Close closes the file once its last reader has.
func (f *openFile) Close() error {
	f.all.mu.Lock()
	f.readers--
	last := f.readers == 0
	if last {
		delete(f.all.byID, f.generation)
	}
	f.all.mu.Unlock()
	if !last {
		return nil
	}
	return f.file.Close()
}
