package redistest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// MasterName is what sentinels call the master.
const MasterName = "logs"

// Sentinels is a master with a replica, and three sentinels that watch them.
type Sentinels struct {
	Master, Replica *Server
	Sentinels       []*Server
	Addrs           []string // of the sentinels
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
		s.Sentinels = append(s.Sentinels, s.startSentinel(t, host, port))
	}
	for _, x := range s.Sentinels {
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
sentinel failover-timeout %[3]s 2000
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
	for _, x := range s.Sentinels {
		x.await(port, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName)
	}
	want.await("role:master", "INFO", "replication")
}

// FailOver kills the master, which the replica has all of, waits until that
// has taken over, and starts the killed one again, as the replica of that.
func (s *Sentinels) FailOver() {
	s.Master.t.Helper()
	s.settle()
	s.AwaitReplicas()
	s.Master.Kill()
	s.AwaitMaster(s.Replica)
	s.Master.Restart()
	s.Master, s.Replica = s.Replica, s.Master
	host, port, _ := net.SplitHostPort(s.Master.Addr)
	s.Replica.Do("REPLICAOF", host, port) // the sentinels would do it in eight seconds
}

// settle waits until all agree who is the master. On a busy machine sentinels
// may take one for dead that only waits for the CPU.
func (s *Sentinels) settle() {
	s.Master.t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.After(startLimit); ; {
		if s.agree(s.Master, s.Replica) {
			return
		}
		if s.agree(s.Replica, s.Master) {
			s.Master, s.Replica = s.Replica, s.Master
			return
		}
		select {
		case <-tick.C:
		case <-end:
			s.Master.t.Fatalf("sentinels, master and replica do not agree within %v", startLimit)
		}
	}
}

// agree reports whether all take this one for the master and that one for its
// replica.
func (s *Sentinels) agree(master, replica *Server) bool {
	_, port, _ := net.SplitHostPort(master.Addr)
	for _, x := range s.Sentinels {
		if out, err := x.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", MasterName); err != nil || !strings.Contains(out, port) {
			return false
		}
	}
	m, err := master.command("INFO", "replication")
	r, err2 := replica.command("INFO", "replication")
	return err == nil && err2 == nil && strings.Contains(m, "role:master") && strings.Contains(r, "master_port:"+port) &&
		strings.Contains(r, "master_link_status:up")
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
