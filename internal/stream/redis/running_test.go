package redis

import "testing"

// Lines that are added when an offloader has released its claim and has not ended
// are offloaded by it, too: it is the only one of its node.
func TestAnOffloadThatIsAskedForWhileOneEndsIsMade(t *testing.T) {
	o := newOffloader(nil, 0, nil)
	steps := []struct {
		name      string
		step      func(gen string) bool
		gen       string
		wantAfter bool
	}{
		{"the first begins", o.begin, "a", true},
		{"the second leaves it to the first", o.begin, "a", false},
		{"another stream is another", o.begin, "b", true},
		{"the first goes on for the second", o.end, "a", false},
		{"nothing was added since", o.end, "a", true},
		{"the other one ends at once", o.end, "b", true},
		{"the next begins", o.begin, "a", true},
	}
	for _, x := range steps {
		if got := x.step(x.gen); got != x.wantAfter {
			t.Fatalf("%s: %v", x.name, got)
		}
	}
}
