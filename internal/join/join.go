// Package join finds what the upload of a log has that its stream has not.
//
// Runners stream the lines of a log while it is written and upload the log when
// it ends: all of it, or what a limit left of it. The two are one log. What was
// streamed keeps its place and its sequences, because readers have seen them;
// what only the upload has comes after it, and a gap where neither has lines.
//
// Where the lines of both have positions ("pos") that increase in the upload, a
// line is the same if its position and its text are. Otherwise lines are the
// same as a run: the whole upload, the whole stream, or the end of one and the
// start of the other. An upload that shares nothing with the stream, and has
// no positions of its own, is another log.
package join

import (
	"context"
	"errors"
	"io"

	"github.com/harness/log-service/internal/logs"
)

// Open returns a cursor at the start of a log that has ended. It is called
// several times.
type Open func(ctx context.Context) (logs.Cursor, error)

// Plan is which lines of an upload are added to a stream.
type Plan struct {
	// Added is the number of lines that only the upload has.
	Added int64
	// Unrelated reports that the upload is another log: nothing is added.
	Unrelated bool
	// Complete reports that the upload has the end of the stream, or continues
	// after it.
	Complete bool

	gaps    int64 // of the upload, such as its damage
	known   bits  // lines of the upload, from 0, that the stream has
	before  int64 // of the added lines, how many come first that belong before or between those of the stream
	gap     int64 // lines that neither has, after the stream and those
	unknown bool  // there may be a gap whose length nobody knows
	matched bool  // a line of the upload is in the stream
	differs bool  // another line has its position in the stream
}

// maxLines bounds the lines of the upload that are compared at once, at about
// 80 bytes each. A longer upload is read several times.
const maxLines = 1 << 20

// Make compares the upload of a log with its stream. It reads each a few times,
// and holds at most some 90 MB.
func Make(ctx context.Context, streamed, uploaded Open) (*Plan, error) {
	var up, down facts
	gaps := int64(0)
	err := eachBatch(ctx, uploaded, func(b *logs.Batch) bool {
		if b.Gap {
			gaps++
		}
		for text := range linesOf(b) {
			up.add(parse(text))
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	if err := eachLine(ctx, streamed, down.add); err != nil {
		return nil, err
	}
	p := &Plan{known: newBits(up.lines), gaps: gaps}
	switch {
	case up.lines == 0:
		return p, nil
	case down.lines == 0:
		p.Added, p.Complete = up.lines, true
		return p, nil
	case up.increasing && down.positions:
		err = p.byPosition(ctx, streamed, uploaded, up, down)
	default:
		err = p.byRuns(ctx, streamed, uploaded, up, down)
	}
	if apart := up.increasing && down.positions && !p.differs; !p.matched && !apart {
		*p = Plan{Unrelated: true}
	}
	return p, err
}

// facts is what is needed about all lines of a log.
type facts struct {
	lines      int64
	positions  bool // every line has one
	increasing bool // and each is above the one before it
	max        int64
}

func (f *facts) add(l line) bool {
	if f.lines == 0 {
		f.positions, f.increasing, f.max = true, true, -1
	}
	f.lines++
	f.positions = f.positions && l.hasPos
	f.increasing = f.increasing && l.hasPos && l.pos > f.max
	f.max = max(f.max, l.pos)
	return true
}

// byPosition takes lines with equal positions and texts as the same.
func (p *Plan) byPosition(ctx context.Context, streamed, uploaded Open, up, down facts) error {
	parts := uint64(up.lines/maxLines + 1)
	for part := range parts {
		counts := make(map[uint64]int32, min(up.lines, maxLines))
		positions := make(map[int64]bool, min(up.lines, maxLines))
		err := eachLine(ctx, uploaded, func(l line) bool {
			if key := l.key(); key%parts == part {
				counts[key] = 0
				positions[l.pos] = true
			}
			return true
		})
		if err == nil {
			err = eachLine(ctx, streamed, func(l line) bool {
				if n, ok := counts[l.key()]; ok {
					counts[l.key()] = n + 1
				} else if positions[l.pos] {
					p.differs = true
				}
				return true
			})
		}
		if err == nil {
			i := int64(-1)
			err = eachLine(ctx, uploaded, func(l line) bool {
				i++
				if n := counts[l.key()]; n > 0 {
					counts[l.key()] = n - 1
					p.known.set(i)
					p.matched = true
				}
				return true
			})
		}
		if err != nil {
			return err
		}
	}
	p.Complete = up.max >= down.max
	i := int64(-1)
	return eachLine(ctx, uploaded, func(l line) bool {
		i++
		if p.known.has(i) {
			return true
		}
		if l.pos < down.max {
			p.before++
		} else if p.Added == p.before {
			p.gap = l.pos - down.max - 1
		}
		p.Added++
		return true
	})
}

// Cursor returns the added lines of the upload that c reads, from the sequence
// first on, with a line where they do not continue those before them.
func (p *Plan) Cursor(c logs.Cursor, first int64) logs.Cursor {
	return &added{Cursor: c, plan: p, next: first}
}

type added struct {
	logs.Cursor
	plan  *Plan
	next  int64 // the next sequence
	line  int64 // of the upload, to be read next
	done  int64 // lines added
	gaps  int64 // of the upload, read
	noted bool  // of the lines that belong elsewhere, or of a gap whose length is unknown
}

// Next implements logs.Cursor.
func (a *added) Next(ctx context.Context) ([]*logs.Batch, error) {
	for a.plan.Added > 0 && (a.done < a.plan.Added || a.gaps < a.plan.gaps) {
		batches, err := a.Cursor.Next(ctx)
		if err == nil && len(batches) == 0 || errors.Is(err, io.EOF) {
			return nil, errChanged
		}
		if err != nil {
			return nil, err
		}
		var found []*logs.Batch
		for _, b := range batches {
			found = a.take(found, b)
		}
		if len(found) > 0 {
			return found, nil
		}
	}
	return nil, io.EOF
}

var errChanged = errors.New("the upload has changed while it was joined with the streamed lines")

// take appends what is added of b.
func (a *added) take(found []*logs.Batch, b *logs.Batch) []*logs.Batch {
	if b.Gap {
		a.gaps++
		found = append(found, &logs.Batch{First: a.next, Count: 1, Data: b.Data, Gap: true})
		a.next++
		return found
	}
	var data []byte
	count := int64(0)
	flush := func() {
		if count > 0 {
			found = append(found, &logs.Batch{First: a.next, Count: count, Data: data})
			a.next += count
			data, count = nil, 0
		}
	}
	for text := range linesOf(b) {
		i := a.line
		a.line++
		if a.plan.known.has(i) {
			continue
		}
		if note := a.note(); note != nil {
			flush()
			found = append(found, note)
			a.next = note.Next()
		}
		data = append(data, text...)
		count++
		a.done++
	}
	flush()
	return found
}

// note is the line before the next added one, or nil.
func (a *added) note() *logs.Batch {
	p := a.plan
	switch {
	case !a.noted && p.unknown:
		a.noted = true
		return remark(a.next, "lines may be missing here: those that follow were uploaded")
	case !a.noted && p.before > 0:
		a.noted = true
		return remark(a.next, "the lines that follow were uploaded, but not streamed: they belong before the end of those above")
	case p.gap > 0 && a.done == p.before:
		gap := logs.NewGap(a.next, p.gap)
		p.gap = 0
		return gap
	}
	return nil
}
