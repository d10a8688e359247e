package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
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

// members is what this node knows of the nodes of the service, and of their
// clock; see heartbeat.lua.
type members struct {
	redis *client
	log   *slog.Logger
	root  string // of the keys
	self  string // this run of this node; no two are alike
	// returned is called when Redis answers that was away; set before run.
	returned func()

	mu    sync.Mutex // guards what follows
	base  time.Duration
	at    time.Time // when the clock was at base
	last  time.Time // of the last heartbeat that Redis answered
	alive map[string]bool
}

// beat sends a heartbeat, in the background.
func (m *members) beat(ctx context.Context) {
	if err := m.heartbeat(ctx); err != nil && ctx.Err() == nil {
		m.log.Debug("no heartbeat", "error", err)
	}
}

// heartbeat reports that this node is alive, and learns who else is.
func (m *members) heartbeat(ctx context.Context) error {
	a, err := m.redis.call(ctx, m.redis.scripts.heartbeat, m.root, "", "", m.self, itoa(longestStep.Milliseconds()), "0")
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
	if m.set(clock, alive) && m.returned != nil {
		m.returned()
	}
	return nil
}

// set takes in what a heartbeat brought; away: those before failed.
func (m *members) set(clock time.Duration, alive map[string]bool) (away bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	away = !m.at.IsZero() && now.Sub(m.last) > heartbeat+callTimeout/2
	if off := clock - m.clockAt(now); m.at.IsZero() || off > clockSlack || off < -clockSlack {
		m.base, m.at = clock, now
	}
	m.last, m.alive = now, alive
	return away
}

// clockAt is the service's clock. While Redis does not answer it stands still
// after a moment, as it does for everybody. The caller holds mu.
func (m *members) clockAt(now time.Time) time.Duration {
	return m.base + min(now.Sub(m.at), m.last.Sub(m.at)+longestStep)
}

// now is the service's clock in milliseconds, as scripts take it.
func (m *members) now() string { return itoa(m.clock().Milliseconds()) }

func (m *members) clock() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clockAt(time.Now())
}

// isAlive reports whether a node has sent heartbeats lately.
func (m *members) isAlive(node string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return node == m.self || m.alive[node]
}

// isDead reports whether a node has sent no heartbeat lately, for certain: it
// may have started after the last heartbeat of this node.
func (m *members) isDead(ctx context.Context, node string) bool {
	return !m.isAlive(node) && m.heartbeat(ctx) == nil && !m.isAlive(node)
}

// allAlive are the nodes that are alive.
func (m *members) allAlive() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := []string{m.self}
	for n := range m.alive {
		all = append(all, n)
	}
	return all
}

// leave notifies the others that this node has stopped, so that they need not
// wait for its lease to end.
func (m *members) leave(ctx context.Context) {
	_, err := m.redis.call(ctx, m.redis.scripts.heartbeat, m.root, "", "", m.self, itoa(longestStep.Milliseconds()), "1")
	if err != nil {
		m.log.Info("other nodes will consider this one alive for a while longer", "error", err)
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

// token is 64 random bits as text.
func token() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails, by its documentation
	return hex.EncodeToString(b)
}
