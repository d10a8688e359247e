package report

import (
	"fmt"
	"strconv"
)

// Bound is a target: at least or at most so much of the reference, plus a
// constant. Absolute figures drift by a factor of two from day to day, so
// most targets have a reference from the same run.
type Bound struct {
	least  bool
	factor float64
	add    float64
}

// AtLeast is a bound from below: factor times the reference.
func AtLeast(factor float64) Bound { return Bound{least: true, factor: factor} }

// AtMost is a bound from above: factor times the reference.
func AtMost(factor float64) Bound { return Bound{factor: factor} }

// Plus adds a constant; with factor 0 it is the bound.
func (b Bound) Plus(v float64) Bound {
	b.add = v
	return b
}

func (b Bound) none() bool { return b == Bound{} }

// met reports whether got satisfies the bound, given the reference's figure.
func (b Bound) met(got, ref float64) bool {
	limit := b.factor*ref + b.add
	if b.least {
		return got >= limit
	}
	return got <= limit
}

func (b Bound) String() string {
	if b.none() {
		return "-"
	}
	s := "<= "
	if b.least {
		s = ">= "
	}
	if b.factor > 0 {
		s += strconv.FormatFloat(b.factor, 'g', -1, 64) + " x"
		if b.add > 0 {
			s += " + "
		}
	}
	if b.add > 0 || b.factor == 0 {
		s += figure(b.add)
	}
	return s
}

// Grouped prints n with commas.
func Grouped(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// figure prints v with three digits, thousands as k, millions as M.
func figure(v float64) string {
	switch {
	case v >= 10e6:
		return fmt.Sprintf("%.1f M", v/1e6)
	case v >= 1e6:
		return fmt.Sprintf("%.2f M", v/1e6)
	case v >= 100e3:
		return fmt.Sprintf("%.0f k", v/1e3)
	case v >= 10e3:
		return fmt.Sprintf("%.1f k", v/1e3)
	case v >= 100 || v == 0:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	case v >= 0.1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3f", v)
}
