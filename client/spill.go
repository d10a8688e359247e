package client

import "os"

// spill keeps batches in a temporary file while a Writer's memory is full. Its
// space is used as a ring: batches leave in the order in which they came, and what
// is in front of them is written again. The Writer's mutex guards it.
type spill struct {
	dir   string // empty: the system's directory for temporary files
	limit int64  // size of the file; zero: no file
	// broken is set after a failed write, for example on a full disk, until the
	// file is empty again.
	broken bool

	file   *os.File // nil until it is needed
	path   string   // to be removed at the end; empty if it has been already
	places []place  // of the batches, oldest first
	used   int64    // sum of their sizes
}

// place is a range of bytes in the file.
type place struct{ at, size int64 }

func (p place) end() int64 { return p.at + p.size }

// fit returns where size bytes can be written.
func (s *spill) fit(size int64) (place, bool) {
	p := place{size: size}
	if s.broken || size > s.limit {
		return p, false
	}
	if len(s.places) == 0 {
		return p, true
	}
	first, last := s.places[0], s.places[len(s.places)-1]
	p.at = last.end()
	switch {
	case last.at < first.at: // it has wrapped
		return p, p.end() <= first.at
	case p.end() <= s.limit:
		return p, true
	}
	p.at = 0
	return p, size <= first.at
}

// write adds a batch and reports whether it did.
func (s *spill) write(data []byte) (bool, error) {
	p, ok := s.fit(int64(len(data)))
	if !ok {
		return false, nil
	}
	err := s.create()
	if err == nil {
		_, err = s.file.WriteAt(data, p.at)
	}
	if err != nil {
		s.broken = true
		return false, err
	}
	s.places = append(s.places, p)
	s.used += p.size
	return true, nil
}

// create makes the file, which only its owner may read. It is removed at once, so
// that no end of the program leaves it behind; where an open file cannot be
// removed, close does it.
func (s *spill) create() error {
	if s.file != nil {
		return nil
	}
	f, err := os.CreateTemp(s.dir, "log-service-spill-")
	if err != nil {
		return err
	}
	s.file = f
	if os.Remove(f.Name()) != nil {
		s.path = f.Name()
	}
	return nil
}

// read removes the oldest batch and returns it.
func (s *spill) read() ([]byte, error) {
	p := s.places[0]
	s.places = s.places[1:]
	s.used -= p.size
	data := make([]byte, p.size)
	_, err := s.file.ReadAt(data, p.at)
	if len(s.places) == 0 {
		s.places, s.broken = nil, false
		_ = s.file.Truncate(0) // if it fails, the space is used again, and released at the end
	}
	return data, err
}

func (s *spill) close() {
	if s.file == nil {
		return
	}
	_ = s.file.Close()
	if s.path != "" {
		_ = os.Remove(s.path)
	}
	s.file, s.places, s.used, s.limit = nil, nil, 0, 0
}
