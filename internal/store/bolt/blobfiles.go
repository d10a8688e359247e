package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/harness/log-service/internal/logs"
)

// blobFiles are the files of larger blobs, and what reads and writes them.
type blobFiles struct {
	*volume
	zip     *codec
	buffers buffers
	reads   openFiles

	generation atomic.Uint64 // the last one assigned
	first      uint64        // generations above it are of this process
}

func (b *blobFiles) blobFile(generation uint64) string {
	return filepath.Join(b.folder, fmt.Sprintf("%016x%s", generation, blobName))
}

// scanFiles finds the last generation among the names of the blob files. known
// reports that their folder exists.
func (b *blobFiles) scanFiles() (known bool, err error) {
	err = b.disk.Names(b.folder, func(name string) error {
		if g, ok := generationOf(strings.TrimSuffix(name, unreadable)); ok {
			b.raiseGeneration(g)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// raiseGeneration makes the next generation a later one than g. Uploads may be
// taking generations at the same time.
func (b *blobFiles) raiseGeneration(g uint64) {
	for last := b.generation.Load(); last < g && !b.generation.CompareAndSwap(last, g); last = b.generation.Load() {
	}
}

func generationOf(name string) (generation uint64, ok bool) {
	digits, ok := strings.CutSuffix(name, blobName)
	generation, err := strconv.ParseUint(digits, 16, 62)
	return generation, ok && err == nil && len(digits) == 16
}

// eachFile yields the generations of existing files.
func (b *blobFiles) eachFile(yield func(generation uint64) error) error {
	err := b.disk.Names(b.folder, func(name string) error {
		if generation, ok := generationOf(name); ok {
			return yield(generation)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (b *blobFiles) trailerOf(generation uint64) (*trailer, error) {
	f, err := b.disk.Open(b.blobFile(generation))
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	t, err := readTrailer(f)
	if err != nil {
		return nil, err
	}
	rec, err := decodeRecord(t.key, t.record)
	if err == nil && (!rec.file || rec.generation != generation || t.generation != generation) {
		err = fmt.Errorf("%w: the file says that it is another", logs.ErrDamaged)
	}
	return t, err
}

// removeBlob removes a blob file that nothing refers to. Its readers can still
// read it. If the removal fails, the next start repeats it.
func (b *blobFiles) removeBlob(generation uint64) {
	err := b.watch.do(func() error { return b.disk.Remove(b.blobFile(generation)) })
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		b.log.Warn("the file of a deleted blob stays until the next start", "file", b.blobFile(generation), "error", err)
	}
}

func (b *blobFiles) syncFolder() error {
	return b.watch.do(func() error { return b.disk.SyncDir(b.folder) })
}
