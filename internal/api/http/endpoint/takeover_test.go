package endpoint

import (
	"net"
	"testing"
)

func TestNothingIsKeptOfManyTailsThatHaveEnded(t *testing.T) {
	var tails Tails
	var conns []net.Conn
	for range 100 {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		tails.add(ours)
		conns = append(conns, ours)
	}
	for _, c := range conns {
		tails.remove(c)
	}
	tails.Wait()
	if tails.conns != nil {
		t.Error("the map of a hundred connections is kept, and a map never shrinks")
	}
}
