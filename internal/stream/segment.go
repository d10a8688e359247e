package stream

import (
	"errors"
	"fmt"
	"io/fs"
)

// segment is one file of the log.
type segment struct {
	number   uint64
	name     string
	file     file
	size     int64 // of the file
	previous bool  // in the previous format
	used     int64 // bytes of header and whole groups; read by others once sealed
	live     int   // streams that need it; guarded by wal.segMu
	sealed   bool  // no longer written to; guarded by wal.segMu
	reserve  bool  // its file was the reserve: only what frees space is written to it
	failed   bool  // a write or sync failed: its file is never written again; guarded by wal.segMu
	gone     bool  // released: its file may be another segment's by now; guarded by wal.segMu
	damaged  bool  // has an unreadable record: its file is kept forever; guarded by wal.segMu
}

const (
	walSuffix     = ".wal"
	damagedSuffix = ".damaged"
	tornSuffix    = ".torn"
)

func segmentName(n uint64) string { return fmt.Sprintf("%016x"+walSuffix, n) }

// rotate begins a new segment with capacity for g. The current segment ends
// once a header of the new one may be on disk: a replay counts its groups up to
// where that header says that the next one begins. Before that, a failure
// changes nothing.
func (w *wal) rotate(g *group) error {
	w.lastNumber++
	seg := &segment{number: w.lastNumber, name: segmentName(w.lastNumber), used: segmentHeader}
	need := w.roundUp(segmentHeader + g.size())
	from, err := w.takeFile(seg.name, need, g.reserveFor(need))
	if err != nil {
		return err
	}
	seg.file, seg.size, seg.reserve = from.file, from.size, from.reserve
	if w.current != nil {
		w.seal(w.current, false)
		w.current = nil
	}
	head := segmentHead{
		number: seg.number, firstGroup: w.nextGroup, nextStream: w.nextStream(), reused: from.name != seg.name,
	}.encode()
	if err := w.writeHead(seg, from.name, head); err != nil {
		return err
	}
	w.segMu.Lock()
	w.segments = append(w.segments, seg)
	w.spareWanted = w.groups >= syncsWorthASpare
	w.segMu.Unlock()
	w.poke()
	w.current, w.groups, w.tail = seg, 0, head
	return nil
}

// writeHead makes the header of seg durable, and then renames its file from
// name. After an error the file is removed.
func (w *wal) writeHead(seg *segment, name string, head []byte) error {
	first := append(blockBuffer(int(w.block), int(w.block)), head...)
	_, err := seg.file.WriteAt(first[:w.block], 0)
	if err == nil {
		err = seg.file.Sync()
	}
	if err == nil && name != seg.name { // it gets the name only when its header is on disk
		if err = w.folder.rename(name, seg.name); err == nil {
			name = seg.name
		}
	}
	if err == nil {
		err = w.folder.sync()
	}
	if err != nil {
		return errors.Join(err, seg.file.Close(), w.folder.remove(name))
	}
	return nil
}

// seal ends the writing to seg; failed means that a write or a sync of it
// failed.
func (w *wal) seal(seg *segment, failed bool) {
	w.segMu.Lock()
	seg.sealed, seg.failed = true, failed
	w.segMu.Unlock()
	seg.file.Seal()
}

// ref notes that a stream needs seg; unref notes that it no longer does.
func (w *wal) ref(seg *segment) {
	w.segMu.Lock()
	seg.live++
	w.segMu.Unlock()
}

func (w *wal) unref(segs []*segment) {
	w.segMu.Lock()
	for _, s := range segs {
		s.live--
	}
	w.segMu.Unlock()
}

// oldest returns the first segment if it is sealed, with its live streams, and
// the bytes of all sealed segments.
func (w *wal) oldest() (seg *segment, live int, total int64) {
	w.segMu.Lock()
	defer w.segMu.Unlock()
	for _, s := range w.segments {
		if s.sealed {
			total += s.used
		}
	}
	if len(w.segments) == 0 || !w.segments[0].sealed {
		return nil, 0, total
	}
	return w.segments[0], w.segments[0].live, total
}

// release removes the oldest segment, which no stream needs. Only the oldest is
// ever removed: the record that deletes a stream must outlive the records that
// created it. A damaged one is kept on disk under another name. Called again
// after an error, release continues where it failed.
func (w *wal) release(seg *segment) error {
	w.segMu.Lock()
	damaged := seg.damaged
	seg.gone = true
	w.segMu.Unlock()
	var kept *spare
	var err error
	if damaged {
		err = w.folder.rename(seg.name, seg.name+damagedSuffix)
	} else {
		kept, err = w.recycle(seg)
	}
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		// Durably removed before the next one: otherwise a restart might find
		// this one without the records that end its streams.
		err = w.folder.sync()
	}
	if err != nil {
		if kept != nil {
			err = errors.Join(err, kept.file.Close(), w.folder.remove(kept.name))
		}
		return err
	}
	w.segMu.Lock()
	w.segments = w.segments[1:]
	if kept != nil {
		w.spares = append(w.spares, kept)
	}
	w.segMu.Unlock()
	return seg.file.Close()
}
