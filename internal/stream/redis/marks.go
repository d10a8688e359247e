package redis

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/harness/log-service/internal/logs"
)

const (
	// marksFile is the file of marks in Config.Dir.
	marksFile = "redis-marks"
	// maxMarks bounds the generations of a bucket that have a mark: 64 Ki of
	// them, with usual names, take some 10 MB in memory and on disk.
	maxMarks = 4096
)

// mark is the last state of a generation of a stream that this node
// acknowledged or showed to a reader. A Redis that has lost its latest writes
// is compared with it.
type mark struct {
	bucket    int
	name, gen string
	state     byte         // markOpen, markClosed or markDeleted
	how       logs.Closing // of a closed stream
	next      int64        // lines before it existed
	beat      int64        // of this node, when the mark was set; see monitor.go
	at        int64        // where its record is in the file
}

// States of a generation. They only increase.
const (
	markOpen byte = iota
	markClosed
	markDeleted
)

// marks are the high-water marks of this node, in memory and in a small file,
// so that they outlive a restart of Redis and of the node at the same time. A
// mark is written to the page cache before the change is acknowledged: it
// survives the end of the process at once, and a power failure after the next
// sync, within seconds.
//
// The file is a magic of 16 bytes, then records aligned to 16 bytes:
//
//	next 8, state 1, archiving 1, incomplete 1, zero 1, CRC-32C of these 4
//	size of what follows 4, CRC-32C of that 4
//	bucket 1, length of the generation 1, generation, name, zeros
//
// Numbers are big-endian; the first 16 bytes are written again in place.
type marks struct {
	log *slog.Logger

	mu     sync.Mutex // guards what follows
	file   *os.File   // nil: in memory only
	path   string
	size   int64
	count  int // records in the file
	dirty  bool
	m      map[string]*mark  // by generation
	oldest [buckets][]string // generations, in the order they got their mark
}

const (
	marksMagic = "log-svc-marks-1\n"
	markHead   = 24 // bytes before the name
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// openMarks reads the marks in dir; an empty dir keeps them in memory only. A
// damaged file is read up to the damage.
func openMarks(dir string, log *slog.Logger) (*marks, error) {
	k := &marks{log: log, m: map[string]*mark{}}
	if dir == "" {
		return k, nil
	}
	k.path = filepath.Join(dir, marksFile)
	old, err := os.ReadFile(k.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	for _, m := range parseMarks(old) {
		k.put(m)
	}
	if err := k.rewrite(); err != nil {
		return nil, err
	}
	return k, nil
}

// close ends the use of the file.
func (k *marks) close() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.file == nil {
		return nil
	}
	err := errors.Join(k.file.Sync(), k.file.Close())
	k.file = nil
	return err
}

// sync makes the marks so far survive a power failure.
func (k *marks) sync(context.Context) {
	k.mu.Lock()
	file, dirty := k.file, k.dirty
	k.dirty = false
	k.mu.Unlock()
	if file == nil || !dirty {
		return
	}
	if err := file.Sync(); err != nil && !errors.Is(err, os.ErrClosed) {
		k.log.Warn("this node's knowledge of live logs may not survive a power failure", "error", err)
	}
}

// set raises the mark of a generation.
func (k *marks) set(now mark) {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := k.m[now.gen]
	if m == nil {
		added := now // a copy here, so that now need not be allocated for each append
		k.put(&added)
		k.write(&added, true)
		return
	}
	if now.state > m.state {
		m.state, m.how = now.state, now.how
	} else if now.next <= m.next {
		return
	}
	m.next, m.beat = max(m.next, now.next), now.beat
	k.write(m, false)
}

// put adds a mark in memory. If there are too many, the bucket's oldest is
// dropped: if its stream is still written to, it returns with the next append,
// and may then be in the file twice.
func (k *marks) put(m *mark) {
	if old := k.m[m.gen]; old != nil {
		*old = *m
		return
	}
	o := &k.oldest[m.bucket]
	if len(*o) >= maxMarks {
		delete(k.m, (*o)[0])
		*o = (*o)[1:]
	}
	k.m[m.gen] = m
	*o = append(*o, m.gen)
}

// write writes a mark to the file. Appends do not depend on it: if it fails,
// marks are kept only in memory.
func (k *marks) write(m *mark, added bool) {
	if k.file == nil {
		return
	}
	var err error
	k.dirty = true
	switch {
	case !added:
		_, err = k.file.WriteAt(m.appendState(nil), m.at)
	case k.count >= 2*maxMarks*buckets || k.count >= 2*len(k.m)+maxMarks:
		err = k.rewrite()
	default:
		err = k.append(m)
	}
	if err != nil {
		k.log.Error("cannot write this node's knowledge of live logs: after a restart of this server, lines lost by Redis may go unnoticed", "error", err)
		_ = k.file.Close()
		k.file = nil
	}
}

func (k *marks) append(m *mark) error {
	m.at = k.size
	record := m.appendName(m.appendState(nil))
	_, err := k.file.WriteAt(record, k.size)
	k.size += int64(len(record))
	k.count++
	return err
}

// rewrite replaces the file by one with the marks in memory.
func (k *marks) rewrite() error {
	file, err := os.OpenFile(k.path+".new", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	all := []byte(marksMagic)
	for i := range k.oldest {
		for _, gen := range k.oldest[i] {
			m := k.m[gen]
			m.at = int64(len(all))
			all = m.appendName(m.appendState(all))
		}
	}
	_, err = file.Write(all)
	if err = errors.Join(err, file.Sync()); err == nil {
		err = os.Rename(file.Name(), k.path)
	}
	if dir, err := os.Open(filepath.Dir(k.path)); err == nil {
		_ = dir.Sync() // some systems cannot: then the old file may return after a power failure
		_ = dir.Close()
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	if k.file != nil {
		_ = k.file.Close() // replaced
	}
	k.file, k.size, k.count = file, int64(len(all)), len(k.m)
	return nil
}

// since returns the marks of a bucket that were set at the beat or later.
func (k *marks) since(bucket int, beat int64) (all []mark) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, gen := range k.oldest[bucket] {
		if m := k.m[gen]; m.beat >= beat {
			all = append(all, *m)
		}
	}
	return all
}

// appendState appends the part of a record that changes.
func (m *mark) appendState(to []byte) []byte {
	start := len(to)
	to = binary.BigEndian.AppendUint64(to, uint64(m.next))
	to = append(to, m.state, byte(m.how.Archive), flag(m.how.Incomplete), 0)
	return binary.BigEndian.AppendUint32(to, crc32.Checksum(to[start:], castagnoli))
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}

// appendName appends the part of a record that does not.
func (m *mark) appendName(to []byte) []byte {
	body := append([]byte{byte(m.bucket), byte(len(m.gen))}, m.gen...)
	body = append(body, m.name...)
	to = binary.BigEndian.AppendUint32(to, uint32(len(body)))
	to = binary.BigEndian.AppendUint32(to, crc32.Checksum(body, castagnoli))
	to = append(to, body...)
	return append(to, make([]byte, -len(to)&15)...)
}

// parseMarks reads a file up to its torn end.
func parseMarks(file []byte) (all []*mark) {
	if len(file) < len(marksMagic) || string(file[:len(marksMagic)]) != marksMagic {
		return nil
	}
	for rest := file[len(marksMagic):]; len(rest) >= markHead; {
		size := int(binary.BigEndian.Uint32(rest[16:]))
		if size < 2 || size > len(rest)-markHead {
			break
		}
		body := rest[markHead : markHead+size]
		if crc32.Checksum(body, castagnoli) != binary.BigEndian.Uint32(rest[20:]) || int(body[0]) >= buckets || 2+int(body[1]) > size {
			break
		}
		m := &mark{bucket: int(body[0]), gen: string(body[2 : 2+body[1]]), name: string(body[2+body[1]:])}
		if crc32.Checksum(rest[:12], castagnoli) == binary.BigEndian.Uint32(rest[12:]) {
			m.next, m.state = int64(binary.BigEndian.Uint64(rest)), rest[8]
			m.how = logs.Closing{Archive: logs.Archiving(rest[9]), Incomplete: rest[10] != 0}
		}
		all = append(all, m)
		rest = rest[min((markHead+size+15)&^15, len(rest)):]
	}
	return all
}
