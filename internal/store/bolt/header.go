package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"os"

	"github.com/harness/log-service/internal/logs"
)

// bbolt has two headers, in pages 0 and 1, and each commit writes the older
// one. If one is damaged, bbolt silently uses the other, which may be that of
// the last transaction but one: a stored blob would be missing and its file be
// considered unreferenced, and a deleted blob would be back. Therefore a
// catalog with a damaged header counts as damaged. The last commit of a series
// is followed by an empty one, so that both headers usually agree.

// header is what is used of one. It follows the 16 bytes of its page's header:
// magic, version, page size, flags (32 bits each), root and its sequence, list
// of free pages, end of the pages, transaction (64 bits each), and the FNV-1a
// sum of all that (little-endian).
type header struct {
	good     bool
	pageSize uint32
	free     uint64 // first page of the list of free pages
	tx       uint64
}

func readHeader(f io.ReaderAt, page int64) (h header, err error) {
	const summed = 56
	var b [pageHeader + summed + 8]byte
	if _, err := f.ReadAt(b[:], page*pageSize); err != nil {
		if err := readFailed(err); !errors.Is(err, logs.ErrDamaged) {
			return h, err
		}
		return h, nil
	}
	sum := fnv.New64a()
	_, _ = sum.Write(b[pageHeader : pageHeader+summed])
	le, body := binary.LittleEndian, b[pageHeader:]
	return header{
		good:     sum.Sum64() == le.Uint64(body[summed:]),
		pageSize: le.Uint32(body[8:]),
		free:     le.Uint64(body[32:]),
		tx:       le.Uint64(body[48:]),
	}, nil
}

// checkHeaders reports a damaged header as ErrDamaged. bbolt itself reports if
// both are damaged.
func checkHeaders(path string) error {
	f, err := os.Open(path) //nolint:gosec // the operator's path
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	var both [2]header
	for page := range both {
		if both[page], err = readHeader(f, int64(page)); err != nil {
			return err
		}
		if both[page].good && both[page].pageSize != pageSize {
			return nil // of another program, as will be reported
		}
	}
	if both[0].good != both[1].good {
		return fmt.Errorf("%w: one of its two headers", logs.ErrDamaged)
	}
	return nil
}

// checkList checks the list of free pages: bbolt trusts its length.
func checkList(path string) error {
	f, err := os.Open(path) //nolint:gosec // the operator's path
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	h, err := readHeader(f, 0)
	if err != nil || !h.good || h.pageSize != pageSize || h.free == math.MaxUint64 {
		return err // of another program, as will be reported
	}
	_, _, err = freePages(f)
	return err
}

// pageHeader precedes each page, or run of pages: its number (64 bits), flags,
// number of entries (16 bits each), number of further pages (32 bits).
const pageHeader = 16

// freePages reads the list of free pages that the last commit wrote, which
// begins at page list: their numbers (64 bits each) in ascending order. Its length is the first of them if
// it does not fit into the page's header.
func freePages(f io.ReaderAt) (free []int64, list int64, err error) {
	first, err := readHeader(f, 0)
	if err != nil {
		return nil, 0, err
	}
	last, err := readHeader(f, 1)
	if err != nil {
		return nil, 0, err
	}
	if !last.good || first.good && first.tx > last.tx {
		last = first
	}
	le, at := binary.LittleEndian, int64(last.free)*pageSize
	var b [pageHeader + 8]byte
	if err := readAt(f, b[:], at); err != nil {
		return nil, 0, err
	}
	if le.Uint64(b[:]) != last.free || le.Uint16(b[8:]) != freelistFlag {
		return nil, 0, fmt.Errorf("%w: no list of free pages at page %d", logs.ErrDamaged, last.free)
	}
	n, at := int64(le.Uint16(b[10:])), at+pageHeader
	if n == 0xffff {
		n, at = int64(le.Uint64(b[pageHeader:])), at+8
	}
	if space := (int64(le.Uint32(b[12:])) + 1) * pageSize; n < 0 || n > space/8 {
		return nil, 0, fmt.Errorf("%w: %d free pages in a list of %d bytes", logs.ErrDamaged, n, space)
	}
	entries := make([]byte, 8*n)
	if err := readAt(f, entries, at); err != nil {
		return nil, 0, err
	}
	free = make([]int64, n)
	for i := range free {
		free[i] = int64(le.Uint64(entries[8*i:]))
		if i > 0 && free[i] <= free[i-1] || free[i] < 2 {
			return nil, 0, fmt.Errorf("%w: the list of free pages is out of order", logs.ErrDamaged)
		}
	}
	return free, int64(last.free), nil
}

// freelistFlag marks the list of free pages.
const freelistFlag = 0x10
