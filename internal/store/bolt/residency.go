package bolt

import "go.etcd.io/bbolt"

// Pages of the file that are touched through bbolt's map count as resident
// memory of this process, so that one pass over a large blob, or its upload
// (bbolt reads the neighbours of what it writes), would raise it by the size
// of the blob. The kernel would take them back when it is short, but limits
// of containers and people see the count.

const (
	// maxTouched is how many bytes may be touched, by the estimates below,
	// before all pages are let go. Mapping one again costs less than a
	// microsecond for its neighbours too.
	maxTouched = 32 << 20
	// touchedByLookup is the estimate for a record: the kernel maps 64 KiB
	// around a page that is asked for.
	touchedByLookup = 64 << 10
	// touchedByCommit: bbolt copies the rest of the pages that it changes,
	// up to three chunks.
	touchedByCommit = 3 * chunkSize
)

// touch counts n bytes of the file as touched, within the read transaction
// tx or just before it.
func (s *Store) touch(tx *bbolt.Tx, n int) {
	if s.touched.Add(int64(n)) > maxTouched {
		s.touched.Store(0)
		unmap(tx)
	}
}
