package redis

import (
	"context"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

const (
	// listPage is how many streams one script describes: a millisecond or two
	// during which Redis does nothing else, as it copies the newest entry of each.
	listPage = 100
	// maxDue bounds the streams of a bucket that one look hands out.
	maxDue = 100
)

// List implements logs.Streams.
func (e *Engine) List(ctx context.Context, f logs.Filter) ([]logs.Info, error) {
	var found [buckets][]logs.Info
	g, ctx := errgroup.WithContext(ctx)
	for i, b := range e.buckets {
		g.Go(func() (err error) {
			for _, r := range rangesOf(f.Account, f.Prefix) {
				if found[i], err = b.list(ctx, r, f, found[i]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return nil, err
	}
	var all []logs.Info
	for _, infos := range found {
		all = append(all, infos...)
	}
	return all, nil
}

// list appends the streams of one range of names, page by page.
func (b *bucket) list(ctx context.Context, r lexRange, f logs.Filter, infos []logs.Info) ([]logs.Info, error) {
	for {
		a, err := b.e.call(ctx, b.e.scripts.list, b.root, "", b.e.now(), r.from, r.to, itoa(listPage))
		if err != nil {
			return nil, err
		}
		found := a.list(0)
		for i := 0; i+4 < len(found); i += 5 {
			info, ok := b.e.info(found[i:])
			if !ok || f.Account == "" && !info.ID.Key.Under(f.Prefix) {
				continue
			}
			info.Subscribers = b.subscribers(found.text(i), found.list(i+1).text(0), found.list(i+4))
			infos = append(infos, info)
		}
		last := a.text(1)
		if last == "" {
			return infos, nil
		}
		r.from = "(" + last
	}
}

// info describes a stream from its name, its fields g, c, t, a, k, its next
// sequence and the header of its newest entry.
func (e *Engine) info(found answer) (logs.Info, bool) {
	id, ok := idOf(found.text(0))
	m := found.list(1)
	h, ok2 := parseHeader(found.text(3))
	if !ok || !ok2 {
		return logs.Info{}, false
	}
	ms := func(n int64) time.Duration { return time.Duration(n) * time.Millisecond }
	info := logs.Info{
		ID: id, Lines: found.int(2) - 1, Bytes: h.bytes,
		TTL:  ms(m.int(2)) - max(0, e.clock().Truncate(time.Millisecond)-ms(max(m.int(3), h.clock))),
		Node: nodeName(h.node),
	}
	if m.has(1) {
		info.Closed, info.How = true, decodeHow(m.text(1))
	}
	return info, true
}

// subscribers counts the cursors of all nodes that live; those of this node
// it knows better than Redis.
func (b *bucket) subscribers(name, gen string, told answer) int {
	n := b.cursors(name, gen)
	for i := 0; i+1 < len(told); i += 2 {
		node, _, _ := strings.Cut(told.text(i), "/")
		if node != b.e.node && b.e.lives(node) {
			n += int(told.int(i + 1))
		}
	}
	return n
}

// Stat implements logs.Streams.
func (e *Engine) Stat(ctx context.Context, id logservice.ID) (logs.Info, error) {
	b, name := e.bucket(id)
	infos, err := b.list(ctx, lexRange{"[" + name, "[" + name}, logs.Filter{Account: id.Account}, nil)
	if err == nil && len(infos) == 0 {
		err = logservice.ErrStreamNotFound
	}
	if err != nil {
		return logs.Info{}, err
	}
	return infos[0], nil
}

// Due implements logs.Streams.
func (e *Engine) Due(ctx context.Context) ([]logs.Info, error) {
	// First of all: who lives, and what time it is.
	if err := e.heartbeat(ctx); err != nil {
		return nil, err
	}
	var infos []logs.Info
	for _, b := range e.buckets {
		a, err := e.call(ctx, e.scripts.due, b.root, "", e.now(), itoa(maxDue), itoa(nodeLease.Milliseconds()), e.mayInfo())
		if err != nil {
			return infos, err
		}
		found := a.list(0)
		for i := 0; i+3 < len(found); i += 4 {
			info, ok := e.info(found[i:])
			holder := found.list(i + 1).text(4)
			if ok && (!info.Closed || holder == "" || holder == e.node || !e.lives(holder)) {
				infos = append(infos, info)
			}
		}
		for i := range a.list(1) {
			if gen, name, ok := strings.Cut(a.list(1).text(i), ":"); ok {
				e.bury(b, name, gen)
			}
		}
	}
	return infos, nil
}

// stored is where the parts of a generation are: below a key of the account
// that no request reaches.
func stored(gen string) logservice.ID {
	return logservice.ID{Account: logservice.InternalAccount, Key: logservice.Key(gen)}
}
