package proctest

import (
	"net"
	"testing"
)

func TestAPortBelongsToOneTestUntilItEnds(t *testing.T) {
	const offset = 1000
	var port int
	t.Run("a test", func(t *testing.T) {
		port = FreePort(t, offset)
		for _, p := range []int{port, port + offset} {
			if reserve(t, p, nil) {
				t.Errorf("port %d is given to another test", p)
			}
			l, err := net.Listen("tcp", loopback(p))
			if err != nil {
				t.Fatal("its test cannot use it:", err)
			}
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
	if !reserve(t, port, []int{offset}) {
		t.Errorf("port %d is not released when its test has ended", port)
	}
}

func TestAPortInUseIsNotGiven(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if reserve(t, l.Addr().(*net.TCPAddr).Port, nil) {
		t.Error("a port on which a server listens counts as free")
	}
}
