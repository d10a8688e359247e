package stream

import (
	"encoding/binary"
	"strconv"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
)

// A roster lists streams, each with its identity and progress: a second copy of
// what their records say, in another place. Without it, one damaged record
// could hide a whole log's name, or the existence of its last lines. Changes
// are listed
//
//   - in the next group, once a quarter of a second has passed,
//   - in a group of its own, and in another block, when nothing else is written, and
//     when the engine stops.
//
// The start of each segment also lists every stream with records in the segment
// before it.

const (
	// rosterPause is how long changes wait for the next roster while groups are
	// written: this costs no sync, only some bytes per stream.
	rosterPause = 250 * time.Millisecond
	// rosterIdle is how long they wait while nothing is written: one more sync
	// after the last change of a burst.
	rosterIdle = 20 * time.Millisecond
	// rosterBytes is the size at which a roster record ends.
	rosterBytes = 64 << 10
)

// Flags of a roster entry, in addition to those of a close.
const (
	rosterClosed  = 1 << 6
	rosterDeleted = 1 << 7
)

// rosterEntry is what a roster says about one stream.
//
//	uvarint number, flags, and unless deleted:
//	uvarint next, uvarint ttl, uvarint length of the name, name
type rosterEntry struct {
	num   uint64
	flags byte // of a close, rosterClosed, rosterDeleted
	next  int64
	ttl   time.Duration
	name  []byte // as in an open record
}

func (x rosterEntry) appendTo(dst []byte) []byte {
	dst = append(binary.AppendUvarint(dst, x.num), x.flags)
	if x.flags&rosterDeleted != 0 {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(x.next))
	dst = binary.AppendUvarint(dst, uint64(x.ttl))
	dst = binary.AppendUvarint(dst, uint64(len(x.name)))
	return append(dst, x.name...)
}

// parseRoster calls yield with the entries of a roster whose checksum matched.
// Their names are parts of b.
func parseRoster(b []byte, yield func(rosterEntry)) {
	number := func() uint64 {
		v, n := binary.Uvarint(b)
		b = b[max(n, 0):]
		return v
	}
	for len(b) > 1 {
		x := rosterEntry{num: number()}
		if len(b) == 0 {
			return
		}
		x.flags, b = b[0], b[1:]
		if x.flags&rosterDeleted == 0 {
			x.next, x.ttl = int64(number()), time.Duration(number())
			n := number()
			if n > uint64(len(b)) {
				return
			}
			x.name, b = b[:n], b[n:]
		}
		yield(x)
	}
}

// roster holds the streams that the next rosters must list.
type roster struct {
	changed []*stream     // since the last roster; stream.unlisted is true for these
	held    []*stream     // with records in segments that no later one lists yet
	at      time.Duration // of the last one, on the engine's clock
	taken   int           // how many of changed are listed in the group being written
	rotated bool          // that group also lists held
}

// note adds a stream with a durable record that is not listed yet. The caller
// holds s.mu.
func (r *roster) note(s *stream, firstInSegment bool) {
	if !s.unlisted {
		s.unlisted = true
		r.changed = append(r.changed, s)
	}
	if firstInSegment {
		r.held = append(r.held, s)
	}
}

// appendTo adds to g what is due: the changes and, at the start of a segment,
// the contents of the segments before it.
func (r *roster) appendTo(g *group, block int, rotating bool) {
	if rotating {
		g.addRoster(r.held, block)
	}
	g.addRoster(r.changed, block)
	r.taken, r.rotated = len(r.changed), r.rotated || rotating
}

// written notes that the group with the roster is durable.
func (r *roster) written(now time.Duration) {
	if r.rotated {
		r.held, r.rotated = nil, false
	}
	if r.taken == 0 {
		return
	}
	for _, s := range r.changed[:r.taken] {
		s.mu.Lock()
		s.unlisted = false
		s.mu.Unlock()
	}
	left := append(r.changed[:0], r.changed[r.taken:]...)
	clear(r.changed[len(left):])
	r.changed, r.taken, r.at = left, 0, now
}

// dropped notes that the group with the roster failed.
func (r *roster) dropped() { r.taken, r.rotated = 0, false }

// addRoster appends roster records for the streams.
func (g *group) addRoster(streams []*stream, block int) {
	var data []byte
	count := uint32(0)
	flush := func() {
		if count == 0 {
			return
		}
		g.reserve(recordHeader+len(data), block)
		g.buf = appendRecord(g.buf, record{
			kind: kindRoster, count: count, size: uint32(len(data)), dataCRC: checksum(data),
		}, data)
		data, count = data[:0], 0
	}
	for _, s := range streams {
		data = s.rosterEntry().appendTo(data)
		count++
		if len(data) >= rosterBytes {
			flush()
		}
	}
	flush()
}

// rosterEntry describes the durable state of s.
func (s *stream) rosterEntry() rosterEntry {
	s.mu.Lock()
	defer s.mu.Unlock()
	x := rosterEntry{num: s.num}
	if s.deleted {
		x.flags = rosterDeleted
		return x
	}
	x.next, x.ttl, x.name = s.end, s.ttl, []byte(s.name())
	if s.closed {
		x.flags = rosterClosed | closingFlags(s.how)
	}
	return x
}

// name is how open records and rosters spell what a stream is:
//
//	account NUL key                        the first attempt of a log
//	account NUL key NUL attempt NUL first  an attempt whose first line has the sequence first
//
// Both numbers are decimal. Neither account nor key can contain a NUL.
func (s *stream) name() string {
	name := s.id.Account + "\x00" + string(s.id.Key)
	if s.attempt == 1 && s.first == 1 {
		return name
	}
	return name + "\x00" + strconv.FormatUint(uint64(s.attempt), 10) + "\x00" + strconv.FormatInt(s.first, 10)
}

// setName sets what name says.
func (s *stream) setName(name string) {
	account, rest, _ := strings.Cut(name, "\x00")
	key, rest, later := strings.Cut(rest, "\x00")
	if key == "" {
		return
	}
	s.id = logservice.ID{Account: account, Key: logservice.Key(key)}
	if !later {
		return
	}
	attempt, first, _ := strings.Cut(rest, "\x00")
	if n, err := strconv.ParseUint(attempt, 10, 32); err == nil && n > 0 {
		s.attempt = uint32(n)
	}
	if n, err := strconv.ParseInt(first, 10, 64); err == nil && n > 0 {
		s.first = n
	}
}
