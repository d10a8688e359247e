package clienttest_test

import (
	"net/url"
	"testing"

	"github.com/harness/log-service/client"
	"github.com/harness/log-service/client/clienttest"
	"github.com/harness/log-service/client/rpc"
)

// protocol is the protocol between a test and its server: everything about live
// logs must hold for both.
type protocol string

func overBoth(t *testing.T, f func(t *testing.T, p protocol)) {
	for _, p := range []protocol{"http", "grpc"} {
		t.Run(string(p), func(t *testing.T) { f(t, p) })
	}
}

// address returns the address of srv.
func (p protocol) address(srv *clienttest.Server) string {
	if p == "grpc" {
		return srv.GRPC
	}
	return srv.URL
}

// client returns a client of srv whose connections are closed when the test ends.
func (p protocol) client(t *testing.T, srv *clienttest.Server, opts ...client.Option) *client.Client {
	t.Helper()
	return p.dial(t, p.address(srv), opts...)
}

func (p protocol) dial(t *testing.T, address string, opts ...client.Option) *client.Client {
	t.Helper()
	c, err := client.New(address, append(opts, rpc.Transport())...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// host returns the host and port of an address.
func host(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}
