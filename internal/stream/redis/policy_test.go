package redis_test

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"

	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// blind takes from the rights of a user those to read the policy of Redis.
const blind = " -info -config"

// A Redis that drops live logs when it is full is refused at the start, by
// whatever reveals its policy.
func TestARedisThatEvictsIsRefused(t *testing.T) {
	for name, tc := range map[string]struct{ policy, rights string }{
		"known by INFO":       {"volatile-lru", redis.Rights},
		"known by CONFIG":     {"allkeys-random", redis.Rights + " -info +config|get"},
		"counts uses of keys": {"allkeys-lfu", redis.Rights + blind},
	} {
		t.Run(name, func(t *testing.T) {
			s := redistest.Start(t, "--maxmemory-policy", tc.policy)
			grant(tc.rights, s)
			c := redis.Config{Addresses: []string{s.Addr}, Username: "logs", Password: "pass", Store: newStore(t), Logger: slog.New(slog.DiscardHandler)}
			e, err := redis.Open(t.Context(), c)
			if err == nil {
				_ = e.Stop()
				t.Fatal("it starts")
			}
			var start *redis.StartError
			if !errors.As(err, &start) || !strings.Contains(err.Error(), "CONFIG SET maxmemory-policy noeviction") {
				t.Errorf("it says %v", err)
			}
			s.Do("CONFIG", "SET", "maxmemory-policy", "noeviction")
			if e, err = redis.Open(t.Context(), c); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(e.Check(t.Context()), e.Stop()); err != nil {
				t.Error(err)
			}
		})
	}
}

// All masters of a Cluster are asked.
func TestAClusterWithAMasterThatEvictsIsRefused(t *testing.T) {
	cluster := redistest.StartCluster(t, 3)
	cluster.Masters[2].Do("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
	e, err := redis.Open(t.Context(), redis.Config{Addresses: cluster.Addrs()[:1], Store: newStore(t), Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		_ = e.Stop()
		t.Fatal("it starts")
	}
	if !strings.Contains(err.Error(), "allkeys-lru") {
		t.Errorf("it says %v", err)
	}
}

// Where the policy cannot be read, a key that is missed shows it: to all nodes,
// and to those that start later, also where Redis evicts what they wrote of it.
func TestARedisThatEvictedIsFoundOut(t *testing.T) {
	s := redistest.Start(t, "--maxmemory-policy", "allkeys-lru")
	grant(redis.Rights+blind, s)
	nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}, Username: "logs", Password: "pass", Logger: slog.New(slog.DiscardHandler)})
	for _, n := range nodes {
		if err := n.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	used, err := strconv.Atoi(s.Info("used_memory"))
	if err != nil {
		t.Fatal(err)
	}
	s.Do("CONFIG", "SET", "maxmemory", strconv.Itoa(used+5<<20)) // others write as much within some seconds
	for i, n := range nodes {
		eventually(t, "the node finds out", func() bool {
			if i == 0 {
				s.Do("EVAL", "for i = 1, 20 do redis.call('SET', 'other:'..math.random(1e9), string.rep('x', 1000)) end", "0")
			}
			return evicts(n)
		})
	}
	s.Do("CONFIG", "SET", "maxmemory", "0")
	nodes[1].stop(t)
	s.Do("DEL", redis.EvictsKey(nodes[0].config))
	if !evicts(nodes[0]) {
		t.Error("a node forgets what another bucket, or Redis, does not know")
	}
	eventually(t, "the node writes it down again", func() bool { return s.Do("EXISTS", redis.EvictsKey(nodes[0].config)) == "1" })
	nodes[1].start(t)
	if !evicts(nodes[1]) {
		t.Error("a node that starts later does not know")
	}
}

// One bucket's canary is enough, and the others' do not contradict it.
func TestOneEvictedCanaryIsEnough(t *testing.T) {
	s := redistest.Start(t)
	grant(redis.Rights+blind, s)
	n := newNodes(t, 1, redis.Config{Addresses: []string{s.Addr}, Username: "logs", Password: "pass", Logger: slog.New(slog.DiscardHandler)})[0]
	eventually(t, "heartbeats have come", func() bool { return s.Do("EXISTS", redis.CanaryKey(n.config)) == "1" })
	s.Do("DEL", redis.CanaryKey(n.config))
	eventually(t, "the node finds out", func() bool { return evicts(n) })
	for start := calls(s, "pttl"); calls(s, "pttl") < start+32; { // two heartbeats of each bucket
		if !evicts(n) {
			t.Fatal("the heartbeat of another bucket says otherwise")
		}
	}
}

func evicts(n *node) bool {
	err := n.Check(context.Background())
	return err != nil && err.Error() == "Redis evicts live logs when it is full: its maxmemory-policy must be noeviction"
}

// A flush is none of that.
func TestAFlushIsNoEviction(t *testing.T) {
	s := redistest.Start(t)
	grant(redis.Rights+blind, s)
	n := newNodes(t, 1, redis.Config{Addresses: []string{s.Addr}, Username: "logs", Password: "pass", Logger: slog.New(slog.DiscardHandler)})[0]
	s.Do("FLUSHALL")
	eventually(t, "heartbeats have come", func() bool { return s.Do("EXISTS", redis.CanaryKey(n.config)) == "1" })
	if err := n.Check(t.Context()); err != nil {
		t.Error(err)
	}
}
