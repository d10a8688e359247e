package clienttest_test

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	"github.com/harness/log-service/client/clienttest"
	"github.com/harness/log-service/client/rpc"
	"github.com/harness/log-service/internal/proctest"
)

// texts returns the lines of the log of key.
func texts(t *testing.T, c *client.Client) string {
	t.Helper()
	var b strings.Builder
	for _, l := range all(t, c.Lines(t.Context(), key)) {
		b.WriteString(strings.TrimSuffix(l.Out, "\n"))
	}
	return b.String()
}

// flushed returns a writer of an open log whose text the server has acknowledged.
func (p protocol) flushed(t *testing.T, text string) (*client.Client, *client.Writer) {
	t.Helper()
	c := p.client(t, clienttest.NewServer(t), hasty())
	opened(t, c, key)
	w := c.Writer(t.Context(), key)
	fmt.Fprint(w, text)
	if err := w.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	return c, w
}

func TestAWriterReportsThatItsLogWasEmptied(t *testing.T) {
	overBoth(t, func(t *testing.T, p protocol) {
		c, w := p.flushed(t, "a\nb\nc\n")
		if err := c.Open(t.Context(), key, client.Truncate()); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, "d\ne\n")
		if err := w.Close(); err == nil || !strings.Contains(err.Error(), "3 lines lost by the server") {
			t.Errorf("error %v", err)
		}
		if s := w.Stats(); s.Lines != 5 || s.Sent != 5 || s.Lost != 3 {
			t.Errorf("%+v", s)
		}
		if got := texts(t, c); got != "de" {
			t.Errorf("the log is %q", got)
		}
	})
}

func TestAWriterNoticesThatOthersWrite(t *testing.T) {
	overBoth(t, func(t *testing.T, p protocol) {
		c, w := p.flushed(t, "a\n")
		if _, err := c.Append(t.Context(), key, make([]logservice.Line, 3)); err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(w, "b\n")
		if err := w.Close(); !errors.Is(err, logservice.ErrConflict) {
			t.Errorf("error %v", err)
		}
	})
}

func TestAWriterWithoutAStreamFails(t *testing.T) {
	overBoth(t, func(t *testing.T, p protocol) {
		w := p.client(t, clienttest.NewServer(t)).Writer(t.Context(), key)
		_, refused := fmt.Fprint(w, "a\n") // it may have failed already
		if err := w.Close(); !errors.Is(err, logservice.ErrStreamNotFound) {
			t.Errorf("error %v", err)
		}
		if s := w.Stats(); s.Lost != 1 && !errors.Is(refused, logservice.ErrStreamNotFound) {
			t.Errorf("%+v, writing says %v", s, refused)
		}
	})
}

func TestLinesWaitWhileTheServerIsAway(t *testing.T) {
	overBoth(t, func(t *testing.T, p protocol) {
		srv := clienttest.NewServer(t)
		c := p.client(t, srv, hasty())
		w := c.Writer(t.Context(), key, client.AutoOpen(), client.BestEffort(), client.Memory(1<<20), client.SpillDir(t.TempDir()), client.Mask("secret"))
		stderr := w.Stream()
		fmt.Fprint(w, "first\n")
		if err := w.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		srv.Stop()
		var want strings.Builder
		want.WriteString("first")
		for n := range 50_000 {
			fmt.Fprintf(w, "sec")
			fmt.Fprintf(w, "ret line %d of a build\n", n)
			fmt.Fprintf(&want, "*** line %d of a build", n)
		}
		fmt.Fprint(stderr, "last")
		want.WriteString("last")
		if s := w.Stats(); s.Spilled == 0 || s.Lost > 0 {
			t.Errorf("%+v", s)
		}
		srv.Start()
		if err := w.Close(); err != nil {
			t.Error(err)
		}
		if got := texts(t, c); got != want.String() {
			t.Errorf("the log has %d bytes, want %d", len(got), want.Len())
		}
	})
}

func TestAnAddressOfGRPCNeedsItsTransport(t *testing.T) {
	_, err := client.New("grpc://localhost")
	if !errors.Is(err, logservice.ErrUnsupported) || !strings.Contains(err.Error(), "client/rpc") {
		t.Errorf("error %v", err)
	}
	for _, address := range []string{"grpc://localhost/path", "grpc://user@localhost", "grpc:", "ftp://localhost"} {
		if _, err := client.New(address, rpc.Transport()); !errors.Is(err, logservice.ErrInvalid) {
			t.Errorf("%s: error %v", address, err)
		}
	}
}

func TestAnUnreachableServerIsUnavailable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	overBoth(t, func(t *testing.T, p protocol) {
		c := p.dial(t, string(p)+"://"+address, client.WithRetry(client.Retry{}))
		err := c.Open(t.Context(), key)
		var dial *net.OpError
		if !errors.Is(err, logservice.ErrUnavailable) || !errors.As(err, &dial) || dial.Op != "dial" {
			t.Errorf("error %v", err)
		}
		clock := proctest.StartClock(t)
		for _, err := range c.Tail(t.Context(), key) {
			if !errors.Is(err, logservice.ErrUnavailable) {
				t.Errorf("tail: %v", err)
			}
		}
		if clock.Elapsed() > 10*time.Second {
			t.Error("a tail without retries went on")
		}
	})
}
