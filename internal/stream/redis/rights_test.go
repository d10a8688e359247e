package redis_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// The rights that docs/scaling.md names: those of every node, and what is
// added where there are sentinels or a Cluster.
const (
	sentinelRights = "+role"
	clusterRights  = "+cluster|slots +cluster|shards"
	// ofSentinels are those of the user at the sentinels themselves.
	ofSentinels = "+@connection +sentinel|get-master-addr-by-name +sentinel|sentinels +subscribe &*"
)

// The rights that the documentation names are enough, and no more than enough:
// without what is added for sentinels or a Cluster a node does not start.
func TestTheRightsOfTheDocumentationAreEnough(t *testing.T) {
	config := func(addrs []string) redis.Config {
		return redis.Config{Addresses: addrs, Username: "logs", Password: "pass", StreamMemory: 1 << 10, Logger: slog.New(slog.DiscardHandler)}
	}
	t.Run("alone", func(t *testing.T) {
		s := redistest.Start(t)
		grant(redis.Rights, s)
		writeAndRead(t, config([]string{s.Addr}))
	})
	t.Run("with sentinels", func(t *testing.T) {
		s := redistest.StartSentinels(t)
		c := config(s.Addrs)
		c.MasterName, c.SentinelUsername, c.SentinelPassword, c.Replicas = redistest.MasterName, "watcher", "word", 1
		for _, x := range s.Sentinels {
			x.Do(append([]string{"ACL", "SETUSER", "watcher", "on", ">word"}, strings.Fields(ofSentinels)...)...)
			x.Do("ACL", "SETUSER", "default", "-subscribe") // who does not say who it is gets nowhere
		}
		grant(redis.Rights, s.Master, s.Replica)
		refused(t, c)
		grant(sentinelRights, s.Master, s.Replica)
		writeAndRead(t, c)
	})
	t.Run("in a Cluster", func(t *testing.T) {
		s := redistest.StartCluster(t, 3)
		c := config(s.Addrs())
		grant(redis.Rights, s.Masters...)
		refused(t, c)
		grant(clusterRights, s.Masters...)
		writeAndRead(t, c)
	})
}

// A start that fails halfway, perhaps again and again, leaves nothing in Redis.
func TestAStartThatFailsLeavesNothing(t *testing.T) {
	s := redistest.Start(t)
	grant(redis.Rights+" -xtrim", s)
	refused(t, redis.Config{Addresses: []string{s.Addr}, Username: "logs", Password: "pass", Logger: slog.New(slog.DiscardHandler)})
	if left := s.Do("KEYS", "*check*"); left != "" {
		t.Errorf("left in Redis: %s", left)
	}
}

// grant gives rights to the user of nodes.
func grant(rights string, to ...*redistest.Server) {
	for _, s := range to {
		s.Do(slices.Concat([]string{"ACL", "SETUSER", "logs", "on", ">pass", "~log-service:*"}, strings.Fields(rights))...)
	}
}

func refused(t *testing.T, c redis.Config) {
	t.Helper()
	c.Store = newStore(t)
	if e, err := redis.Open(t.Context(), c); err == nil {
		_ = e.Stop()
		t.Error("a node starts without a right that the documentation asks for")
	} else if !strings.Contains(err.Error(), "ACL SETUSER logs") {
		t.Errorf("the error is: %v", err)
	}
}

// writeAndRead does with many logs, so that they are everywhere in a Cluster,
// all that is done with logs: on two nodes, with segments in the store.
func writeAndRead(t *testing.T, c redis.Config) {
	t.Helper()
	nodes := newNodes(t, 2, c)
	for range 8 {
		l := newLog(t, nodes[0])
		tail := l.follow(nodes[1], 0)
		for range 5 {
			l.write(100)
		}
		l.expect(tail, 0)
		tail.Close()
		l.read(nodes[1], 0)
		l.close(nodes[1])
		claim, err := nodes[0].Claim(t.Context(), l.id)
		if err != nil {
			t.Fatal(err)
		}
		if err := claim.Delete(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if _, err := nodes[0].Due(t.Context()); err != nil {
		t.Error(err)
	}
	if err := nodes[1].Check(t.Context()); err != nil {
		t.Error(err)
	}
	eventually(t, "nothing is left in the store", func() bool { return stored(t, nodes[0].config.Store) == 0 })
}
