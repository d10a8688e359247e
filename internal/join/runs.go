package join

import "context"

const (
	// maxRun bounds the lines of a log that are compared as a run, at 20 bytes
	// each. Of longer logs only equal starts are found.
	maxRun = 2 << 20
	// minOverlap is how many lines the end of one log and the start of the
	// other must share: a blank line alone proves nothing.
	minOverlap = 3
)

// byRuns treats lines as the same if they are in a run that both have.
func (p *Plan) byRuns(ctx context.Context, streamed, uploaded Open, up, down facts) error {
	if up.lines > maxRun || down.lines > maxRun {
		return p.byStart(ctx, streamed, uploaded, up, down)
	}
	u, err := texts(ctx, uploaded, up.lines)
	if err != nil {
		return err
	}
	s, err := texts(ctx, streamed, down.lines)
	if err != nil {
		return err
	}
	n, m := len(u), len(s)
	first, last := 0, 0 // the run of the upload that the stream has
	end, at := overlap(u, s)
	start, in := overlap(s, u)
	head, tail := commonEnds(u, s)
	switch {
	case at >= 0: // the stream has all of it
		last = n
		p.Complete = at+n == m
	case in >= 0: // it has all of the stream
		first, last = in, in+m
		p.Complete = true
	case end >= minOverlap && end >= start: // it starts with the end of the stream
		last = end
		p.Complete = true
	case start >= minOverlap: // it ends with the start of the stream
		first, last = n-start, n
	case 2*(head+tail) >= min(n, m): // it differs in the middle only
		p.mark(0, head)
		p.mark(n-tail, n)
		p.Added, p.before = int64(n-head-tail), int64(n-head-tail)
		p.Complete = tail > 0
		if tail == 0 {
			p.before = 0
		}
		return nil
	}
	p.mark(first, last)
	p.Added = int64(n - last + first)
	p.before = int64(first)
	return nil
}

// byStart takes the lines at the start as the same, as far as they are equal.
func (p *Plan) byStart(ctx context.Context, streamed, uploaded Open, up, down facts) error {
	c, err := streamed(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	next := puller(ctx, c)
	var same int64
	var failed error
	err = eachLine(ctx, uploaded, func(l line) bool {
		other, ok, err := next()
		failed = err
		if err != nil || !ok || other.text != l.text {
			return false
		}
		same++
		return true
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return err
	}
	p.mark(0, int(same))
	p.Added = up.lines - same
	p.unknown = same < down.lines && p.Added > 0
	p.Complete = same == down.lines
	return nil
}

func (p *Plan) mark(from, to int) {
	p.matched = p.matched || from < to
	for i := from; i < to; i++ {
		p.known.set(int64(i))
	}
}

// texts returns the hashes of the texts of n lines.
func texts(ctx context.Context, open Open, n int64) ([]uint64, error) {
	all := make([]uint64, 0, n)
	err := eachLine(ctx, open, func(l line) bool {
		all = append(all, l.text)
		return true
	})
	return all, err
}

// overlap returns how many of the first elements of a are the last of b, and
// the last place in b where all of a is; -1 if it is not there. (The algorithm
// of Knuth, Morris and Pratt.)
func overlap(a, b []uint64) (n, at int) {
	border := make([]int32, len(a)+1) // of a[:i]: the longest start that is also its end
	border[0] = -1
	k := int32(-1)
	for i := range a {
		for k >= 0 && a[k] != a[i] {
			k = border[k]
		}
		k++
		border[i+1] = k
	}
	k, at = 0, -1
	for i, x := range b {
		for k >= 0 && (int(k) == len(a) || a[k] != x) {
			k = border[k]
		}
		if k++; int(k) == len(a) {
			at = i + 1 - len(a)
		}
	}
	return int(k), at
}

// commonEnds returns how many lines a and b share at their start and at their
// end, without counting one twice.
func commonEnds(a, b []uint64) (head, tail int) {
	most := min(len(a), len(b))
	for head < most && a[head] == b[head] {
		head++
	}
	for tail < most-head && a[len(a)-1-tail] == b[len(b)-1-tail] {
		tail++
	}
	return head, tail
}
