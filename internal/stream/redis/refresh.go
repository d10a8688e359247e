package redis

import (
	"context"
	"slices"

	logservice "github.com/harness/log-service"
)

// refresher keeps the tails of a bucket's streams up to date.
type refresher struct {
	*keyspace
	tails     *tails
	followers *followers
}

// refresh brings t up to date. It counts as activity of the stream, so it is a
// write, and may suffice to acknowledge a retry.
func (r *refresher) refresh(ctx context.Context, t *tail) error {
	t.stale, t.dials = true, r.redis.dials.Load()
	if err := r.readTail(ctx, t); err != nil {
		return err
	}
	if f := r.followers.find(t.name, t.gen); f != nil {
		t.seen = max(t.seen, f.known())
	}
	t.stale = false
	return nil
}

// readTail reads the entries that t does not know, or all relevant ones if they
// do not follow what it knows.
func (r *refresher) readTail(ctx context.Context, t *tail) error {
	known := ""
	if t.text != "" {
		known = itoa(t.first)
	}
	a, err := r.redis.acked(ctx, func(ctx context.Context, on runner) (answer, error) {
		return r.redis.measured(ctx, r.redis.scripts.refresh, on, r.root, []string{t.name, r.members.now(), t.gen, known, r.policy.mayInfo()})
	})
	if err != nil {
		return err
	}
	if a.int(0) == 0 {
		r.tails.forget(t.name)
		t.gen, t.tailState = "", tailState{stale: true}
		t.forgetAppends()
		return logservice.ErrStreamNotFound
	}
	found := seenOf(a.list(3))
	slices.Reverse(found)
	if known != "" && (a.text(1) != t.gen || len(found) == 0 || found[0].first != t.first || found[0].text != t.text) {
		t.text = ""
		return r.readTail(ctx, t)
	}
	if known != "" {
		found = found[1:]
	} else {
		if t.gen != a.text(1) {
			t.gen, t.seen = a.text(1), 0
			t.forgetAppends()
		}
	}
	t.offloaded = a.int(2)
	t.seen, t.restarted = max(t.seen, a.int(4)), a.int(5)
	for i, x := range found {
		switch {
		case i == 0 && known == "":
			t.head.cost = x.head.cost - x.cost
			t.grow(x.first, x.text, x.head)
			if x.head.begins() {
				t.forgetAppends()
				t.history.first, t.history.text = x.first, x.text
			}
			continue
		case x.first < t.next():
			continue // about to be removed; see follows
		}
		t.follow(x.first, x.text, x.head)
	}
	return nil
}

// seen is an entry without its lines.
type seen struct {
	first int64
	cost  int64
	text  string
	head  header
}

// seenOf reads entries as describe in prelude.lua leaves them.
func seenOf(list answer) []seen {
	found := make([]seen, 0, len(list)/3)
	for i := 0; i+2 < len(list); i += 3 {
		h, ok := parseHeader(list.text(i + 1))
		first, ok2 := parseID(list.text(i))
		if ok && ok2 {
			found = append(found, seen{first, list.int(i+2) + entryCost, list.text(i + 1), h})
		}
	}
	return found
}

// catchUp adds what other nodes have added after t. It is for appends that
// expect that; a refresh costs more, and covers everything that may have
// happened. If t is not all that matters, it is left stale.
func (r *refresher) catchUp(ctx context.Context, t *tail) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	t.stale = true
	c := r.redis.B()
	found := r.redis.DoMulti(ctx,
		c.Hmget().Key(t.meta()).Field("g", "c", "v").Build(),
		c.Xrevrange().Key(t.key("d")).End("+").Start("("+itoa(t.first)+"-0").Count(maxNewest).Build())
	fields, err := found[0].ToArray()
	list, err2 := found[1].ToArray()
	if m := answer(fields); err != nil || err2 != nil || m.text(0) != t.gen || m.has(1) {
		return
	}
	t.offloaded = answer(fields).int(2)
	entries := parseEntries(list)
	if r.redis.replicas > 0 { // they may not have it yet, and it is not acknowledged
		seen := t.seen
		defer func() { t.seen = seen }()
	}
	for _, x := range slices.Backward(entries) {
		if x.first != t.next() || x.cost-x.own() != t.head.cost {
			return // lines are lost, or there are more than these
		}
		t.follow(x.first, x.text(), x.header)
	}
	if len(entries) > 0 {
		t.shared = keepsShared
	} else {
		t.shared--
	}
	t.stale = false
}
