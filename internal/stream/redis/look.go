package redis

import (
	"context"
	"slices"
	"strconv"
	"strings"

	logservice "github.com/harness/log-service"
)

// look brings t up to date. It counts as activity of the stream, so it writes,
// and may be what a retry is acknowledged by.
func (e *Engine) look(ctx context.Context, b *bucket, name string, t *tail) error {
	t.stale, t.dials = true, e.dials.Load()
	if err := e.readTail(ctx, b, name, t); err != nil {
		return err
	}
	if f := b.follower(name, t.gen); f != nil {
		t.seen = max(t.seen, f.known())
	}
	t.stale = false
	return nil
}

// readTail reads the entries that t does not know, or all that matter where
// they do not follow what it knows.
func (e *Engine) readTail(ctx context.Context, b *bucket, name string, t *tail) error {
	known := ""
	if t.text != "" {
		known = itoa(t.first)
	}
	a, err := e.acked(ctx, func(ctx context.Context, on runner) (answer, error) {
		return e.measured(ctx, e.scripts.look, on, b.root, []string{name, e.now(), t.gen, known, e.mayInfo()})
	})
	if err != nil {
		return err
	}
	if a.int(0) == 0 {
		b.tails.forget(name)
		t.standing = standing{stale: true}
		return logservice.ErrStreamNotFound
	}
	found := newest(a.list(5))
	if known != "" && (a.text(1) != t.gen || len(found) == 0 || found[0].first != t.first || found[0].text != t.text) {
		t.text = ""
		return e.readTail(ctx, b, name, t)
	}
	if known != "" {
		found = found[1:]
	} else {
		if t.gen != a.text(1) {
			t.gen, t.seen = a.text(1), 0
		}
		t.recent = parseRecents(a.text(4))
	}
	t.held, t.moved = a.int(2), a.int(3)
	t.seen, t.restarted = max(t.seen, a.int(6)), a.int(7)
	for i, x := range found {
		switch {
		case i == 0 && known == "":
			t.head.cost = x.head.cost - x.cost
		case x.first < t.next():
			continue // about to be removed; see follows
		}
		t.grow(x.first, x.text, x.head)
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

// newest reads entries as look.lua tells them, and returns the oldest first.
func newest(list answer) []seen {
	var found []seen
	for i := len(list) - 3; i >= 0; i -= 3 {
		h, ok := parseHeader(list.text(i + 1))
		first, ok2 := parseID(list.text(i))
		if ok && ok2 {
			found = append(found, seen{first, list.int(i+2) + entryCost, list.text(i + 1), h})
		}
	}
	return found
}

// parseID reads the ID of an entry: its first sequence.
func parseID(id string) (first int64, ok bool) {
	s, _, _ := strings.Cut(id, "-")
	first, err := strconv.ParseInt(s, 10, 64)
	return first, err == nil
}

// catchUp takes in what other nodes have added behind t. It is for appends that
// expect it: a look costs more, and leaves out none of what may have happened.
// Where t is not all that matters, it is left stale.
func (e *Engine) catchUp(ctx context.Context, b *bucket, name string, t *tail) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	t.stale = true
	c := e.client.B()
	r := e.client.DoMulti(ctx,
		c.Hmget().Key(b.root+"s:"+name).Field("g", "c", "p", "v").Build(),
		c.Xrevrange().Key(b.key("d", t.gen, name)).End("+").Start("("+itoa(t.first)+"-0").Count(maxRecent).Build())
	fields, err := r[0].ToArray()
	list, err2 := r[1].ToArray()
	if m := answer(fields); err != nil || err2 != nil || m.text(0) != t.gen || m.has(1) {
		return
	}
	t.held, t.moved = answer(fields).int(2), answer(fields).int(3)
	entries := parseEntries(list)
	if e.config.Replicas > 0 { // they may not have it yet, and nobody was told
		seen := t.seen
		defer func() { t.seen = seen }()
	}
	for _, x := range slices.Backward(entries) {
		if x.first != t.next() || x.cost-x.own() != t.head.cost {
			return // lines are lost, or there are more than these
		}
		t.grow(x.first, x.text(), x.header)
	}
	if len(entries) > 0 {
		t.shared = keepsShared
	} else {
		t.shared--
	}
	t.stale = false
}
