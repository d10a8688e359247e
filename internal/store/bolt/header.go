package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"os"
)

// header is what Open reads of the file before bbolt does, which would panic
// or fault on a file that is cut short. The layout is that of bbolt's pages:
// pages 0 and 1 each hold, after a page header of 16 bytes and in the byte
// order of the machine (little-endian on all that this program supports),
// magic, version, page size and flags (32 bits each), root bucket (two words),
// page of the free list, number of pages, transaction (64 bits each), and the
// FNV-1a sum of these 56 bytes.
type header struct {
	pages       uint64
	freelist    uint64
	transaction uint64
	stale       bool // the other header is damaged
}

const (
	boltMagic      = 0xED0CDAED
	boltVersion    = 2
	boltPageHeader = 16
	boltMetaSize   = 64
	boltNoFreelist = math.MaxUint64
)

// readHeader reads and checks the headers of the file at path.
func readHeader(path string) (header, error) {
	f, err := os.Open(path)
	if err != nil {
		return header{}, err
	}
	defer func() { _ = f.Close() }()
	if info, err := f.Stat(); err != nil {
		return header{}, err
	} else if !info.Mode().IsRegular() {
		return header{}, fmt.Errorf("%s is not a file: name another path for the blobs", path)
	}
	var best header
	valid := 0
	for page := range int64(2) {
		buf := make([]byte, boltPageHeader+boltMetaSize)
		if _, err := f.ReadAt(buf, page*pageSize); err != nil && !errors.Is(err, io.EOF) {
			return header{}, err
		}
		if h, ok := parseMeta(buf[boltPageHeader:]); ok {
			valid++
			if valid == 1 || h.transaction > best.transaction {
				best = h
			}
		}
	}
	best.stale = valid == 1
	info, err := f.Stat() // after the headers: a file in use only grows
	if err != nil {
		return best, err
	}
	switch size := info.Size(); {
	case size == 0:
		return best, fmt.Errorf("%s is empty: remove it to begin with an empty store, or restore it from a backup", path)
	case valid == 0:
		return best, fmt.Errorf("%s is not a blob file of this program, or its beginning is damaged: restore it from a backup, or name another path for the blobs", path)
	case best.pages > uint64(size)/pageSize:
		return best, fmt.Errorf("%s is cut short: it has %d bytes and needs %d; restore it from a backup, or move it away to begin with an empty store", path, size, best.pages*pageSize)
	case best.freelist == boltNoFreelist:
		return best, fmt.Errorf("%s is a bolt file of another program: name another path for the blobs", path)
	}
	return best, nil
}

func parseMeta(b []byte) (header, bool) {
	sum := fnv.New64a()
	_, _ = sum.Write(b[:boltMetaSize-8])
	le := binary.LittleEndian
	if le.Uint32(b) != boltMagic || le.Uint32(b[4:]) != boltVersion || le.Uint32(b[8:]) != pageSize || le.Uint64(b[56:]) != sum.Sum64() {
		return header{}, false
	}
	return header{freelist: le.Uint64(b[32:]), pages: le.Uint64(b[40:]), transaction: le.Uint64(b[48:])}, true
}
