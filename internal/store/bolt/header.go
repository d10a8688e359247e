package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"os"

	"github.com/harness/log-service/internal/logs"
)

// bbolt has two headers, in pages 0 and 1, and each commit writes the older
// one. If one is damaged, bbolt silently uses the other, which may be that of
// the last transaction but one: a stored blob would be missing and its file be
// considered unreferenced, and a deleted blob would be back. Therefore a
// catalog with a damaged header counts as damaged. The last commit of a series
// is followed by an empty one, so that both headers usually agree.

// checkHeaders reports a damaged header as ErrDamaged. bbolt itself reports if
// both are damaged. A header follows the 16 bytes of its page's header: magic,
// version, page size, flags (32 bits each), five numbers (64 bits each), and
// the FNV-1a sum of all that (little-endian).
func checkHeaders(path string) error {
	f, err := os.Open(path) //nolint:gosec // the operator's path
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	const before, summed = 16, 56
	var b [before + summed + 8]byte
	var good [2]bool
	for page := range good {
		if _, err := f.ReadAt(b[:], int64(page)*pageSize); err != nil {
			if err := readFailed(err); !errors.Is(err, logs.ErrDamaged) {
				return err
			}
			continue
		}
		sum := fnv.New64a()
		_, _ = sum.Write(b[before : before+summed])
		good[page] = sum.Sum64() == binary.LittleEndian.Uint64(b[before+summed:])
		if good[page] && binary.LittleEndian.Uint32(b[before+8:]) != pageSize {
			return nil // of another program, as will be reported
		}
	}
	if good[0] != good[1] {
		return fmt.Errorf("%w: one of its two headers", logs.ErrDamaged)
	}
	return nil
}
