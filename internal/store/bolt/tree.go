package bolt

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/harness/log-service/internal/logs"
)

const (
	branchFlag = 0x01
	leafFlag   = 0x02
	// maxTreePage limits what a damaged page header can make a reader load.
	maxTreePage = 16 << 20
)

// tree reads the pages of a bucket of a damaged catalog from its file. bbolt's
// cursor would follow a damaged reference in a cycle, without an end.
type tree struct {
	file io.ReaderAt
	seen map[int64]bool
	put  func(k, v []byte) error
}

// walk calls put for the entries below a page, forward or backward, up to the
// first damage.
func (t *tree) walk(id int64, backward bool) error {
	if t.seen[id] {
		return fmt.Errorf("%w: page %d is referred to twice", logs.ErrDamaged, id)
	}
	t.seen[id] = true
	b, err := t.page(id)
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	leaf, count := le.Uint16(b[8:]) == leafFlag, int(le.Uint16(b[10:]))
	for i := range count {
		if backward {
			i = count - 1 - i
		}
		e := b[pageHeader+16*i:]
		if !leaf {
			if err := t.walk(int64(le.Uint64(e[8:])), backward); err != nil {
				return err
			}
			continue
		}
		from, k, v := uint64(le.Uint32(e[4:])), uint64(le.Uint32(e[8:])), uint64(le.Uint32(e[12:]))
		if from+k+v > uint64(len(e)) {
			return fmt.Errorf("%w: page %d has an entry beyond its end", logs.ErrDamaged, id)
		}
		if err := t.put(e[from:from+k:from+k], e[from+k:from+k+v]); err != nil {
			return err
		}
	}
	return nil
}

// page reads a page with those that continue it.
func (t *tree) page(id int64) ([]byte, error) {
	le := binary.LittleEndian
	b := make([]byte, pageSize)
	if id < 2 || id > 1<<40 {
		return nil, fmt.Errorf("%w: page %d does not exist", logs.ErrDamaged, id)
	}
	if err := readAt(t.file, b, id*pageSize); err != nil {
		return nil, err
	}
	kind, count, size := le.Uint16(b[8:]), int64(le.Uint16(b[10:])), (int64(le.Uint32(b[12:]))+1)*pageSize
	if int64(le.Uint64(b)) != id || kind != branchFlag && kind != leafFlag || size > maxTreePage || pageHeader+16*count > size {
		return nil, fmt.Errorf("%w: page %d has no valid header", logs.ErrDamaged, id)
	}
	if size > pageSize {
		b = make([]byte, size)
		if err := readAt(t.file, b, id*pageSize); err != nil {
			return nil, err
		}
	}
	return b, nil
}
