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
	// nodeLease is how long a node may be silent before others take over its
	// work: a few heartbeats, and longer than a call may take.
	nodeLease = 15 * time.Second
	// longestStep is the most that the service's clock advances at once; longer
	// jumps of a clock are ignored.
	longestStep = 5 * time.Second
	// clockSlack is how far a node's copy of the service's clock may be off
	// before it is set: smaller differences are network delays.
	clockSlack = time.Second
)

// members is what this node knows about the nodes of the service and their
// clock; see heartbeat.lua.
type members struct {
	redis *client
	log   *slog.Logger
	root  string // of the keys
	self  string // this run of this node; unique
	// returned is called when Redis responds again; set before run.
	returned func()

	mu    sync.Mutex // guards what follows
	base  time.Duration
	at    time.Time // when the clock showed base
	last  time.Time // of the last answered heartbeat
	alive map[string]bool
}

// beat sends a heartbeat, in the background.
func (m *members) beat(ctx context.Context) {
	if err := m.heartbeat(ctx); err != nil && ctx.Err() == nil {
		m.log.Debug("no heartbeat", "error", err)
	}
}

// heartbeat reports that this node is alive, and learns which others are.
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

// set applies the result of a heartbeat; away: earlier ones failed.
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

// clockAt is the service's clock. While Redis does not respond, it soon stops,
// as it does on all nodes. The caller holds mu.
func (m *members) clockAt(now time.Time) time.Duration {
	return m.base + min(now.Sub(m.at), m.last.Sub(m.at)+longestStep)
}

// now is the service's clock in milliseconds, for scripts.
func (m *members) now() string { return itoa(m.clock().Milliseconds()) }

func (m *members) clock() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.clockAt(time.Now())
}

// isAlive reports whether a node has sent heartbeats recently.
func (m *members) isAlive(node string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return node == m.self || m.alive[node]
}

// isDead reports whether a node has certainly sent no heartbeat recently: one
// that is not alive may have started after this node's last heartbeat.
func (m *members) isDead(ctx context.Context, node string) bool {
	return !m.isAlive(node) && m.heartbeat(ctx) == nil && !m.isAlive(node)
}

// allAlive returns the live nodes.
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

// nodeRun names a run of the node name, without the characters that separate
// the parts of names.
func nodeRun(name string) string {
	return strings.NewReplacer("/", "-", "#", "-").Replace(name) + "#" + token()
}

// nodeName is the name that people gave the node of a run.
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
