package redistest

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Cluster is a Redis Cluster of masters, each with a replica where AddReplicas
// was called.
type Cluster struct {
	Masters  []*Server
	Replicas []*Server // Replicas[i] is that of Masters[i]

	t    testing.TB
	args []string
}

// StartCluster starts a Cluster of n masters, at least three, without
// replicas.
func StartCluster(t testing.TB, n int, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{t: t}
	c.args = append(args, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000")
	create := []string{"--cluster", "create"}
	for range n {
		m := Start(t, c.args...)
		c.Masters = append(c.Masters, m)
		create = append(create, m.Addr)
	}
	c.Masters[0].Do(append(create, "--cluster-yes")...)
	c.await()
	return c
}

// await waits until every master takes the whole Cluster for healthy.
func (c *Cluster) await() {
	c.t.Helper()
	for _, m := range c.Masters {
		m.await("cluster_state:ok", "CLUSTER", "INFO")
	}
}

// AddReplicas gives each master a replica that takes over when it dies.
func (c *Cluster) AddReplicas() {
	c.t.Helper()
	host, port, _ := net.SplitHostPort(c.Masters[0].Addr)
	for range c.Masters {
		r := Start(c.t, c.args...)
		r.Do("CLUSTER", "MEET", host, port)
		c.Replicas = append(c.Replicas, r)
	}
	for _, r := range c.Replicas {
		for _, m := range c.Masters {
			r.await(m.clusterID(), "CLUSTER", "NODES")
		}
	}
	for i, r := range c.Replicas {
		r.Do("CLUSTER", "REPLICATE", c.Masters[i].clusterID())
	}
	for i := range c.Replicas {
		c.awaitReplica(i)
	}
}

// awaitReplica waits until a replica may be elected: it has the data, and all
// who vote know it.
func (c *Cluster) awaitReplica(i int) {
	c.t.Helper()
	c.Replicas[i].await("master_link_status:up", "INFO", "replication")
	for _, m := range c.Masters {
		m.await(c.Replicas[i].clusterID(), "CLUSTER", "REPLICAS", c.Masters[i].clusterID())
	}
}

// clusterID is how the Cluster calls the server.
func (s *Server) clusterID() string {
	s.t.Helper()
	return s.Do("CLUSTER", "MYID")
}

// FailOver kills the i-th master, waits until its replica has taken over, and
// starts the killed one again, as the replica of that.
func (c *Cluster) FailOver(i int) {
	c.t.Helper()
	if strings.Contains(c.Masters[i].Do("INFO", "replication"), "role:slave") {
		// On a busy machine it was taken for dead while it waited for the CPU.
		c.Masters[i], c.Replicas[i] = c.Replicas[i], c.Masters[i]
		c.awaitReplica(i)
	}
	master, replica := c.Masters[i], c.Replicas[i]
	master.Kill()
	replica.await("role:master", "INFO", "replication")
	c.Masters[i], c.Replicas[i] = replica, master
	c.await()
	master.Restart()
	c.awaitReplica(i)
}

// Slots are those that hold keys, by their master.
func (c *Cluster) Slots() map[int]*Server {
	c.t.Helper()
	slots := map[int]*Server{}
	for _, m := range c.Masters {
		seen := map[string]bool{}
		for key := range strings.Lines(m.Do("KEYS", "*")) {
			key = strings.TrimSpace(key)
			if _, tag, ok := strings.Cut(key, "{"); ok {
				key, _, _ = strings.Cut(tag, "}")
			}
			if key == "" || seen[key] {
				continue
			}
			seen[key] = true
			slot, err := strconv.Atoi(m.Do("CLUSTER", "KEYSLOT", key))
			if err != nil {
				c.t.Fatal(err)
			}
			slots[slot] = m
		}
	}
	return slots
}

// MoveSlot moves a slot from a master to another one as redis-cli does it, but
// key by key, and calls each, which may be nil, before every key: so that it
// lasts, and is used in every state there is.
func (c *Cluster) MoveSlot(slot int, from, to *Server, each func()) {
	c.t.Helper()
	s := strconv.Itoa(slot)
	host, port, _ := net.SplitHostPort(to.Addr)
	c.ok(to, "CLUSTER", "SETSLOT", s, "IMPORTING", from.clusterID())
	c.ok(from, "CLUSTER", "SETSLOT", s, "MIGRATING", to.clusterID())
	for {
		if each != nil {
			each()
		}
		key := from.Do("CLUSTER", "GETKEYSINSLOT", s, "1")
		if key == "" {
			break
		}
		move := []string{"MIGRATE", host, port, key, "0", strconv.Itoa(int((10 * time.Second).Milliseconds()))}
		if to.pass != "" {
			move = append(move, "AUTH", to.pass)
		}
		c.ok(from, move...)
	}
	owner := to.clusterID()
	c.ok(to, "CLUSTER", "SETSLOT", s, "NODE", owner)
	c.ok(from, "CLUSTER", "SETSLOT", s, "NODE", owner)
	for _, m := range c.Masters {
		c.ok(m, "CLUSTER", "SETSLOT", s, "NODE", owner)
	}
}

// ok sends a command that answers OK, or NOKEY where a key has expired.
func (c *Cluster) ok(s *Server, args ...string) {
	c.t.Helper()
	if out := s.Do(args...); out != "OK" && out != "NOKEY" {
		c.t.Fatalf("redis at %s: %v answers %s", s.Addr, args, out)
	}
}

// Addrs are the addresses of the masters.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, m := range c.Masters {
		addrs = append(addrs, m.Addr)
	}
	return addrs
}
