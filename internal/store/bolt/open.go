package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/harness/log-service/internal/logs"
)

const (
	// pageSize is fixed, so that a catalog can be moved between machines and
	// small blobs do not cost more on those with large pages.
	pageSize = 4096
	// lockWait is how long Open waits for another process to release the
	// catalog.
	lockWait = time.Second
	// mapSize is the address space, not memory, reserved for the catalog on
	// 64-bit systems. While the catalog is smaller, growing it does not wait
	// for readers.
	mapSize = 16 << 30
	// startWait limits how long Open checks the pages of a large catalog on a
	// slow disk. After that, the writer does.
	startWait = time.Second
)

// errStarting ends a start after startWait.
var errStarting = errors.New("it is large, and its pages are still being checked")

// open opens the catalog. What waiting or a rebuild may cure is left to the
// writer: live logs need no catalog. Store.Open starts the goroutines.
func (c *catalog) open() (err error) {
	c.startBy = time.Now().Add(startWait)
	err = c.start()
	c.startBy = time.Time{}
	if err == nil || isRefusal(err) {
		return err
	}
	damaged := errors.Is(err, logs.ErrDamaged)
	_ = c.fail(err, failure{damaged: damaged, starting: !damaged})
	return nil
}

// refusal is an error of Open that only the operator can resolve.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

func refusef(format string, args ...any) error { return refusal{fmt.Errorf(format, args...)} }

// isRefusal reports whether the operator must act: the file is not a catalog
// for this process, or the path cannot be used.
func isRefusal(err error) bool {
	for _, about := range []error{fs.ErrPermission, syscall.EROFS, syscall.ENOTDIR, syscall.ELOOP, syscall.ENAMETOOLONG} {
		if errors.Is(err, about) {
			return true
		}
	}
	return errors.As(err, new(refusal))
}

// start finds or creates the catalog and opens it. Until it has succeeded once,
// or found damage, no blob file is created.
func (c *catalog) start() (err error) {
	if err := c.disk.Mkdir(filepath.Dir(c.path)); err != nil {
		return err
	}
	if c.known, err = c.scanFiles(); err != nil {
		return err
	}
	c.first = c.generation.Load()
	switch info, err := os.Stat(c.path); {
	case err == nil && !info.Mode().IsRegular():
		return refusef("%s is not a file: name another path for the blobs", c.path)
	case err == nil:
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case c.first > 0:
		return fmt.Errorf("%w: it is missing, but there are blob files in %s", logs.ErrDamaged, c.folder)
	default:
		if err := c.create(); err != nil {
			return fmt.Errorf("create %s: %w", c.path, err)
		}
	}
	err = c.attach()
	if errors.Is(err, bolterrors.ErrInvalid) && !c.known {
		return refusef("%s is not a catalog of this program, or both of its headers are damaged: name another path for the blobs, or restore it from a backup", c.path)
	}
	return err
}

// attach opens the catalog with bbolt and checks that it is one.
func (c *catalog) attach() error {
	if err := checkHeaders(c.path); err != nil {
		return err
	}
	if err := checkList(c.path); err != nil {
		return err
	}
	h, err := openBolt(c.path, false)
	switch {
	case errors.Is(err, bolterrors.ErrTimeout):
		return refusef("%s is in use by another process: stop that one, or give this one a data folder of its own", c.path)
	case err != nil:
		return err
	}
	h.db.MaxBatchSize = 0 // writer.go does that
	var old bool
	checkPages := func() error { return guard(func() error { return checkPages(h, c.mayGoOn) }) }
	checkSchema := func() error {
		return guard(func() error {
			return h.db.View(func(tx *bbolt.Tx) (err error) {
				old, err = c.checkSchema(tx)
				return err
			})
		})
	}
	checks := []func() error{checkPages, checkSchema}
	if !c.known { // the file of another program must not be taken for a damaged one
		slices.Reverse(checks)
	}
	for _, check := range checks {
		if err == nil {
			err = check()
		}
	}
	if err == nil && old {
		err = guard(func() error { return h.db.Update(createBuckets) })
	}
	if err == nil {
		err = guard(func() error { return h.db.View(c.lastGeneration) })
	}
	if err == nil {
		err = errors.Join(c.disk.Mkdir(c.folder), c.disk.SyncDir(filepath.Dir(c.path)))
	}
	if err != nil {
		// A panic in bbolt may have left its locks locked; see abandon.
		return errors.Join(err, h.abandon())
	}
	c.db.Store(h)
	return nil
}

// mayGoOn ends the check of the pages at the end of the time for it, or of the
// store.
func (c *catalog) mayGoOn() error {
	switch {
	case c.stopped():
		return errClosed
	case !c.startBy.IsZero() && time.Now().After(c.startBy):
		return errStarting
	}
	return nil
}

// openBolt opens a file with bbolt. Problems with the file itself are
// ErrDamaged. One that is cut short can be opened to read the rest.
func openBolt(path string, readOnly bool) (*handle, error) {
	h := &handle{}
	o := &bbolt.Options{
		Timeout:      lockWait,
		ReadOnly:     readOnly,
		PageSize:     pageSize,
		FreelistType: bbolt.FreelistMapType, // finds runs of pages fast in a fragmented file
		OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
			h.file, err = os.OpenFile(name, flag, mode) //nolint:gosec // the operator's path
			return h.file, err
		},
		// The list of free pages is written with each commit (the default):
		// otherwise every start would read the whole file.
	}
	if strconv.IntSize == 64 && !readOnly {
		o.InitialMmapSize = int(int64(mapSize))
	}
	err := guard(func() (err error) {
		if h.db, err = bbolt.Open(path, 0o600, o); err != nil || readOnly {
			return err
		}
		return checkLength(h)
	})
	if info, no := os.Stat(path); err != nil && no == nil && info.Size() < 2*pageSize && !errors.Is(err, bolterrors.ErrTimeout) {
		err = fmt.Errorf("%w: %w", bolterrors.ErrInvalid, err) // bbolt has no error for a file without space for its headers
	}
	for _, about := range []error{bolterrors.ErrInvalid, bolterrors.ErrChecksum, bolterrors.ErrVersionMismatch, syscall.EIO} {
		if h.file != nil && errors.Is(err, about) { // opening it says nothing about its pages
			err = fmt.Errorf("%w: %w", logs.ErrDamaged, err)
			break
		}
	}
	switch {
	case err == nil:
		return h, nil
	case h.db != nil:
		return nil, errors.Join(err, h.db.Close())
	case h.file != nil:
		_ = h.abandon()
	}
	return nil, err
}

// checkLength reports a truncated file.
func checkLength(h *handle) error {
	return h.db.View(func(tx *bbolt.Tx) error {
		info, err := h.file.Stat()
		if err == nil && info.Size() < tx.Size() {
			err = fmt.Errorf("%w: it is cut short: it has %d bytes and needs %d", logs.ErrDamaged, info.Size(), tx.Size())
		}
		return err
	})
}

// create creates an empty catalog under another name and renames it, so that a
// crash leaves no incomplete file.
func (c *catalog) create() error {
	temp := c.path + ".new"
	if err := create(temp, func(*bbolt.DB) error { return nil }); err != nil {
		return err
	}
	return errors.Join(os.Rename(temp, c.path), c.disk.SyncDir(filepath.Dir(c.path)))
}

// create creates a catalog at path, replacing what is there, and fills it.
func create(path string, fill func(*bbolt.DB) error) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockWait, PageSize: pageSize, NoStatistics: true})
	if err != nil {
		return err
	}
	if err = db.Update(createBuckets); err == nil {
		err = fill(db)
	}
	return errors.Join(err, db.Close())
}

func createBuckets(tx *bbolt.Tx) error {
	for _, name := range [][]byte{bucketBlobs, bucketFiles, bucketAbout} {
		if _, err := tx.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	about, v := tx.Bucket(bucketAbout), uint32(schema)
	return errors.Join(about.Put(keySchema, binary.BigEndian.AppendUint32(nil, v)),
		about.Put(keyInverse, binary.BigEndian.AppendUint32(nil, ^v)))
}

// checkSchema rejects files of other programs, before anything else of them is
// read. old reports that an earlier version wrote it.
func (c *catalog) checkSchema(tx *bbolt.Tx) (old bool, err error) {
	var version, inverse []byte
	if about := tx.Bucket(bucketAbout); about != nil {
		version, inverse = about.Get(keySchema), about.Get(keyInverse)
	}
	switch {
	case len(version) != 4 && (c.known || inverse != nil), len(inverse) == 4 && binary.BigEndian.Uint32(inverse) != ^binary.BigEndian.Uint32(version):
		return false, fmt.Errorf("%w: its bucket %q", logs.ErrDamaged, bucketAbout)
	case len(version) != 4:
		return false, refusef("%s is a bolt file of another program: name another path for the blobs", c.path)
	}
	needs := [][]byte{bucketBlobs, bucketFiles}
	switch v := binary.BigEndian.Uint32(version); v {
	case schema:
		old = inverse == nil
	case chunkSchema:
		old, needs = true, [][]byte{bucketBlobs, bucketChunks, bucketGarbage}
	default:
		return false, refusef("%s has layout %d, this program knows %d: run the version that wrote it, or a newer one", c.path, v, schema)
	}
	for _, name := range needs {
		if tx.Bucket(name) == nil {
			return false, fmt.Errorf("%w: it has no bucket %q", logs.ErrDamaged, name)
		}
	}
	return old, nil
}

// lastGeneration continues the numbers of the blob files.
func (c *catalog) lastGeneration(tx *bbolt.Tx) error {
	key, _ := tx.Bucket(bucketFiles).Cursor().Last()
	if key == nil {
		return nil
	}
	last, ok := generationOf(fmt.Sprintf("%x%s", key, blobName))
	if !ok {
		return fmt.Errorf("%w: no file can have the name %x", errPages, key)
	}
	c.raiseGeneration(last)
	return nil
}
