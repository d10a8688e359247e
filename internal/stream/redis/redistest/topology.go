package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// MasterName is what sentinels call the master.
const MasterName = "logs"

// Sentinels is a master with a replica, and three sentinels that watch them.
type Sentinels struct {
	Master, Replica *Server
	Addrs           []string // of the sentinels
	sentinels       []*Server
}

// StartSentinels starts a master, a replica and three sentinels that replace
// a master after a second of silence. Where args ask for a password, all have
// it.
func StartSentinels(t testing.TB, args ...string) *Sentinels {
	t.Helper()
	s := &Sentinels{Master: Start(t, args...)}
	host, port, _ := net.SplitHostPort(s.Master.Addr)
	if s.Master.pass != "" {
		args = append(args, "--masterauth", s.Master.pass)
	}
	s.Replica = Start(t, append(args, "--replicaof", host+" "+port)...)
	s.Replica.await("master_link_status:up", "INFO", "replication")
	for range 3 {
		s.sentinels = append(s.sentinels, s.startSentinel(t, host, port))
	}
	for _, x := range s.sentinels {
		x.await("slaves=1,sentinels=3", "INFO", "sentinel")
	}
	return s
}

func (s *Sentinels) startSentinel(t testing.TB, host, port string) *Server {
	t.Helper()
	Program(t, "redis-sentinel")
	x := &Server{t: t, Dir: t.TempDir()}
	own := freePort(t)
	x.Addr = net.JoinHostPort("127.0.0.1", own)
	config := filepath.Join(x.Dir, "sentinel.conf")
	text := fmt.Sprintf(`bind 127.0.0.1
port %s
dir %s
sentinel monitor %[3]s %[4]s %[5]s 2
sentinel down-after-milliseconds %[3]s 1000
sentinel failover-timeout %[3]s 5000
`, own, x.Dir, MasterName, host, port)
	if s.Master.pass != "" {
		text += fmt.Sprintf("sentinel auth-pass %s %s\n", MasterName, s.Master.pass)
	}
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	x.args = []string{config, "--sentinel"}
	t.Cleanup(x.Kill)
	x.Restart()
	s.Addrs = append(s.Addrs, x.Addr)
	return x
}

// AwaitMaster waits until all sentinels name want the master, and it is.
func (s *Sentinels) AwaitMaster(want *Server) {
	want.t.Helper()
	_, port, _ := net.SplitHostPort(want.Addr)
	for _, x := range s.sentinels {
		x.await(port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName)
	}
	want.await("role:master", "INFO", "replication")
}

// Cluster is a Redis Cluster of masters.
type Cluster struct{ Masters []*Server }

// StartCluster starts a Cluster of n masters, at least three, without
// replicas.
func StartCluster(t testing.TB, n int, args ...string) *Cluster {
	t.Helper()
	c := &Cluster{}
	create := []string{"--cluster", "create"}
	for range n {
		m := Start(t, append(args, "--cluster-enabled", "yes", "--cluster-config-file", "nodes.conf", "--cluster-node-timeout", "2000")...)
		c.Masters = append(c.Masters, m)
		create = append(create, m.Addr)
	}
	c.Masters[0].Do(append(create, "--cluster-yes")...)
	for _, m := range c.Masters {
		m.await("cluster_state:ok", "CLUSTER", "INFO")
	}
	return c
}

// Addrs are the addresses of the masters.
func (c *Cluster) Addrs() []string {
	var addrs []string
	for _, m := range c.Masters {
		addrs = append(addrs, m.Addr)
	}
	return addrs
}

// AwaitReplicas waits until the replica has all that the master has now.
func (s *Sentinels) AwaitReplicas() {
	s.Replica.t.Helper()
	s.Replica.await("master_link_status:up", "INFO", "replication")
	offset := func(x *Server, field string) int64 {
		n, _ := strconv.ParseInt(x.Info(field), 10, 64)
		return n
	}
	want := offset(s.Master, "master_repl_offset")
	for end := time.Now().Add(startLimit); offset(s.Replica, "slave_repl_offset") < want; {
		if time.Now().After(end) {
			s.Replica.t.Fatalf("the replica has not what the master has within %v", startLimit)
		}
	}
}
