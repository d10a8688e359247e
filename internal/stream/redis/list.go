package redis

import (
	"context"
	"strings"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

const (
	// listPage is how many streams one script describes: a millisecond or two
	// during which Redis does nothing else, as it copies the newest entry of each.
	listPage = 100
	// maxDue bounds the streams of a bucket that one call returns.
	maxDue = 100
)

// listing describes the streams of a bucket.
type listing struct {
	*keyspace
	followers *followers
}

// list appends the streams of one range of names, page by page.
func (l *listing) list(ctx context.Context, r lexRange, f logs.Filter, infos []logs.Info) ([]logs.Info, error) {
	for {
		a, err := l.call(ctx, l.redis.scripts.list, "", l.members.now(), r.from, r.to, itoa(listPage))
		if err != nil {
			return nil, err
		}
		found := a.list(0)
		for i := 0; i+4 < len(found); i += 5 {
			info, ok := l.info(found[i:])
			if !ok || f.Account == "" && !info.ID.Key.Under(f.Prefix) {
				continue
			}
			info.Subscribers = l.subscribers(found.text(i), found.list(i+1).text(0), found.list(i+4))
			infos = append(infos, info)
		}
		last := a.text(1)
		if last == "" {
			return infos, nil
		}
		r.from = "(" + last
	}
}

// info describes a stream from its name, its fields g, c, t, a, k, n, b, its
// next sequence and the header of its newest entry.
func (l *listing) info(found answer) (logs.Info, bool) {
	id, ok := idOf(found.text(0))
	m := found.list(1)
	h, ok2 := parseHeader(found.text(3))
	if !ok || !ok2 {
		return logs.Info{}, false
	}
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	info := logs.Info{
		ID: id, Attempt: orFirst(m.int(5)), First: orFirst(m.int(6)), Lines: found.int(2) - 1, Bytes: h.bytes,
		TTL:  ms(m.int(2)) - max(0, l.members.clock().Truncate(time.Millisecond)-ms(max(m.int(3), h.clock))),
		Node: nodeName(h.node),
	}
	if m.has(1) {
		info.Closed, info.How = true, decodeHow(m.text(1))
	}
	return info, true
}

// subscribers counts the cursors of all live nodes; this node's own count is
// more accurate than Redis's.
func (l *listing) subscribers(name, gen string, reported answer) int {
	n := l.followers.cursors(name, gen)
	for i := 0; i+1 < len(reported); i += 2 {
		node, _, _ := strings.Cut(reported.text(i), "/")
		if node != l.id() && l.members.isAlive(node) {
			n += int(reported.int(i + 1))
		}
	}
	return n
}

// stat describes one stream of an account.
func (l *listing) stat(ctx context.Context, account, name string) (logs.Info, error) {
	infos, err := l.list(ctx, lexRange{"[" + name, "[" + name}, logs.Filter{Account: account}, nil)
	if err == nil && len(infos) == 0 {
		err = logservice.ErrStreamNotFound
	}
	if err != nil {
		return logs.Info{}, err
	}
	return infos[0], nil
}

// due describes the streams that need attention, unless another node attends to
// them, and removes what is left of deleted ones.
func (l *listing) due(ctx context.Context) (infos []logs.Info, err error) {
	a, err := l.call(ctx, l.redis.scripts.due, "", l.members.now(), itoa(maxDue), itoa(nodeLease.Milliseconds()), l.policy.mayInfo())
	if err != nil {
		return nil, err
	}
	found := a.list(0)
	for i := 0; i+3 < len(found); i += 4 {
		info, ok := l.info(found[i:])
		holder := found.list(i + 1).text(4)
		if ok && (!info.Closed || holder == "" || holder == l.id() || !l.members.isAlive(holder)) {
			infos = append(infos, info)
		}
	}
	for i := range a.list(1) {
		if gen, name, ok := strings.Cut(a.list(1).text(i), ":"); ok {
			l.handle(name, gen).reap()
		}
	}
	return infos, nil
}
