package proctest

import (
	"math/rand/v2"
	"net"
	"strconv"
	"testing"
)

// Tests of several packages run at the same time, and each starts servers that are
// killed and restarted at their address. So a port belongs to one test from when it
// is chosen until the test ends: the UDP port with the same number is taken for as
// long, as a lock that ends with the process. No server of the tests uses UDP.

// Ports are below those that systems give to outgoing connections, so that none
// takes one while its server is down.
const (
	firstPort = 10_000
	lastPort  = 32_000
)

// FreePort returns a port of 127.0.0.1 that no other test gets until this one ends.
// The ports that are each offset above it are the test's as well.
func FreePort(t testing.TB, offsets ...int) int {
	t.Helper()
	highest := 0
	for _, o := range offsets {
		highest = max(highest, o)
	}
	for range 1000 {
		port := firstPort + rand.IntN(lastPort-firstPort-highest)
		if reserve(t, port, offsets) {
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

// FreeAddr returns 127.0.0.1 with a FreePort.
func FreeAddr(t testing.TB) string {
	t.Helper()
	return loopback(FreePort(t))
}

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// reserve takes all the ports or none.
func reserve(t testing.TB, port int, offsets []int) bool {
	var locks []net.PacketConn
	release := func() {
		for _, l := range locks {
			_ = l.Close()
		}
	}
	for _, offset := range append([]int{0}, offsets...) {
		lock, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", loopback(port+offset))
		if err == nil {
			locks = append(locks, lock)
		}
		if err != nil || listens(t, port+offset) {
			release()
			return false
		}
	}
	t.Cleanup(release)
	return true
}

// listens reports whether somebody listens on the port, who did not ask for it here.
func listens(t testing.TB, port int) bool {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", loopback(port))
	if err == nil {
		_ = l.Close()
	}
	return err != nil
}
