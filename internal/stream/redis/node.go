package redis

import (
	"context"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	// heartbeat is how often a node says that it lives.
	heartbeat = 2 * time.Second
	// nodeLease is how long a node may be silent before others take its work
	// over: a few heartbeats, and longer than a call may take.
	nodeLease = 15 * time.Second
	// longestStep is the most that the service's clock moves at once; what a
	// clock jumps by beyond it never was.
	longestStep = 5 * time.Second
	// clockSlack is how far a node's idea of the service's clock may be off
	// before it is set: below it the two are the same but for the network.
	clockSlack = time.Second
)

// nodes is what this node knows of the service's clock and of its nodes; see
// heartbeat.lua.
type nodes struct {
	mu    sync.Mutex // guards what follows
	base  time.Duration
	at    time.Time // when the clock was at base
	last  time.Time // of the last heartbeat that Redis answered
	alive map[string]bool
}

// beat says that this node lives, until the engine stops.
func (e *Engine) beat() {
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	refreshed := time.Now()
	for {
		select {
		case <-e.running.Done():
			return
		case <-tick.C:
			if err := e.heartbeat(e.running); err != nil && e.running.Err() == nil {
				e.log.Debug("no heartbeat", "error", err)
			}
			if time.Since(refreshed) > policyRefresh {
				refreshed = time.Now()
				if err := e.checkPolicy(e.running); err != nil {
					e.log.Error("Redis evicts live logs when it is full", "error", err)
				}
			}
		}
	}
}

func (e *Engine) heartbeat(ctx context.Context) error {
	a, err := e.call(ctx, e.scripts.heartbeat, e.buckets[0].root, "", "", e.node, itoa(longestStep.Milliseconds()), "0")
	if err != nil {
		return err
	}
	clock := time.Duration(a.int(0)) * time.Millisecond
	alive := map[string]bool{}
	list := a.list(1)
	for i := 0; i+1 < len(list); i += 2 {
		score, _ := strconv.ParseFloat(list.text(i+1), 64)
		if time.Duration(score)*time.Millisecond > clock-nodeLease {
			alive[list.text(i)] = true
		}
	}
	if e.nodes.set(clock, alive) {
		// Redis was away. Reads that wait in it may wait on one that is not
		// the master any more.
		for _, b := range e.buckets {
			b.cancelRead()
		}
	}
	return nil
}

// set takes in what a heartbeat brought; away tells that those before failed.
func (n *nodes) set(clock time.Duration, alive map[string]bool) (away bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	away = !n.at.IsZero() && now.Sub(n.last) > heartbeat+callTimeout/2
	if off := clock - n.clock(now); n.at.IsZero() || off > clockSlack || off < -clockSlack {
		n.base, n.at = clock, now
	}
	n.last, n.alive = now, alive
	return away
}

// clock is the service's clock. While Redis does not answer it stands still
// after a moment, as it does for everybody. The caller holds mu.
func (n *nodes) clock(now time.Time) time.Duration {
	return n.base + min(now.Sub(n.at), n.last.Sub(n.at)+longestStep)
}

// now is the service's clock in milliseconds, as scripts take it.
func (e *Engine) now() string { return itoa(e.clock().Milliseconds()) }

func (e *Engine) clock() time.Duration {
	e.nodes.mu.Lock()
	defer e.nodes.mu.Unlock()
	return e.nodes.clock(time.Now())
}

// lives reports whether node has shown signs of life lately.
func (e *Engine) lives(node string) bool {
	e.nodes.mu.Lock()
	defer e.nodes.mu.Unlock()
	return node == e.node || e.nodes.alive[node]
}

// dead reports whether node has shown no sign of life lately, for certain: it
// may have begun after this node looked last.
func (e *Engine) dead(ctx context.Context, node string) bool {
	return !e.lives(node) && e.heartbeat(ctx) == nil && !e.lives(node)
}

// living are the nodes that live.
func (e *Engine) living() []string {
	e.nodes.mu.Lock()
	defer e.nodes.mu.Unlock()
	all := []string{e.node}
	for n := range e.nodes.alive {
		all = append(all, n)
	}
	return all
}

// leave tells the others that this node is gone, so that they need not wait
// for its lease to end.
func (e *Engine) leave(ctx context.Context) {
	_, err := e.call(ctx, e.scripts.heartbeat, e.buckets[0].root, "", "", e.node, itoa(longestStep.Milliseconds()), "1")
	if err != nil {
		e.log.Info("other nodes will consider this one alive for a while longer", "error", err)
	}
}

// nodeRun names a run of the node name; what separates the parts of names is
// taken out of it.
func nodeRun(name string) string {
	return strings.NewReplacer("/", "-", "#", "-").Replace(name) + "#" + token()
}

// nodeName is what people call the node that is at work as run.
func nodeName(run string) string {
	name, _, _ := strings.Cut(run, "#")
	return name
}
