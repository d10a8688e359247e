package clienttest_test

import (
	"errors"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	"github.com/harness/log-service/client/clienttest"
)

func TestAServerKeepsItsAddressAndDataOverARestart(t *testing.T) {
	srv := clienttest.NewServer(t)
	c := srv.Client(client.WithRetry(client.Retry{}))
	url := srv.URL
	if err := c.Open(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Append(t.Context(), "a", []logservice.Line{{Out: "x"}}); err != nil {
		t.Fatal(err)
	}
	srv.Stop()
	if _, err := c.Info(t.Context()); !errors.Is(err, logservice.ErrUnavailable) {
		t.Errorf("while stopped: %v", err)
	}
	srv.Start()
	infos, err := c.Info(t.Context())
	if err != nil || len(infos) != 1 || infos[0].Lines != 1 || srv.URL != url {
		t.Errorf("%+v at %s, error %v", infos, srv.URL, err)
	}
}

func TestServersAreSeparate(t *testing.T) {
	one, other := clienttest.NewServer(t).Client(), clienttest.NewServer(t).Client()
	if err := one.Open(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if infos, err := other.Info(t.Context()); len(infos) > 0 || err != nil {
		t.Errorf("%+v, error %v", infos, err)
	}
}
