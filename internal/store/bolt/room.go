package bolt

import (
	"fmt"
	"syscall"

	logservice "github.com/harness/log-service"
)

// reserve is what stays free for deletions, which must write before they free
// (up to three chunks of neighbours, and the list of free pages): without it
// an upload that fills the disk could not even be removed. Small blobs may
// use half of it.
const reserve = 4 << 20

// room refuses size more bytes when the disk and the free pages of the file
// together would keep less than spare.
func (s *Store) room(size, spare int) error {
	stats := s.db.Stats()
	free := int64(stats.FreePageN+stats.PendingPageN) * pageSize
	disk := diskRoom(s.path)
	if disk >= int64(size+spare)-free {
		return nil
	}
	return &logservice.UnavailableError{Cause: fmt.Errorf("write %d bytes to %s: %w: %d bytes left on the disk and %d in the file, of which %d are kept for deletions",
		size, s.path, syscall.ENOSPC, disk, free, spare)}
}
