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
	// listPage is how many streams one script describes: a millisecond or so
	// during which Redis does nothing else.
	listPage = 500
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
		for i := 0; i+2 < len(found); i += 3 {
			info, ok := b.e.info(found.text(i), found.list(i+1))
			if !ok || f.Account == "" && !info.ID.Key.Under(f.Prefix) {
				continue
			}
			info.Subscribers = b.subscribers(found.text(i), found.list(i+1).text(0), found.list(i+2))
			infos = append(infos, info)
		}
		last := a.text(1)
		if last == "" {
			return infos, nil
		}
		r.from = "(" + last
	}
}

// info describes a stream from its fields g, n, c, b, t, a, k, w.
func (e *Engine) info(name string, m answer) (logs.Info, bool) {
	id, ok := idOf(name)
	if !ok {
		return logs.Info{}, false
	}
	ms := func(i int) time.Duration { return time.Duration(m.int(i)) * time.Millisecond }
	info := logs.Info{
		ID: id, Lines: m.int(1) - 1, Bytes: m.int(3),
		TTL:  ms(4) - max(0, e.clock().Truncate(time.Millisecond)-ms(5)),
		Node: nodeName(m.text(7)),
	}
	if m.has(2) {
		info.Closed, info.How = true, decodeHow(m.text(2))
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
		a, err := e.call(ctx, e.scripts.due, b.root, "", e.now(), itoa(maxDue), itoa(nodeLease.Milliseconds()))
		if err != nil {
			return infos, err
		}
		found := a.list(0)
		for i := 0; i+1 < len(found); i += 2 {
			m := found.list(i + 1)
			info, ok := e.info(found.text(i), m)
			holder := m.text(6)
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
