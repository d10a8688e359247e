package conformance_test

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/logs"
)

// What is pushed over one protocol is tailed over the other, byte for byte.
func TestProtocolsMix(t *testing.T) {
	t.Parallel()
	settings := config.Default()
	settings.Bind, settings.GRPCBind = "127.0.0.1:0", "127.0.0.1:0"
	settings.Data = t.TempDir()
	settings.BoltPath = settings.Data + "/blobs.db"
	p := &inProcess{config: settings}
	t.Cleanup(func() { p.stop(t) })
	p.start(t)
	p.client = newRemote(p.url)
	viaGRPC := newGRPCRemote(t, p.grpc)
	t.Cleanup(viaGRPC.done)
	protocols := map[string]*remote{"HTTP": p.client, "gRPC": viaGRPC}
	id := logservice.ID{Account: "acme", Key: "mixed"}
	if err := p.client.Open(t.Context(), id, logs.OpenOptions{}); err != nil {
		t.Fatal(err)
	}
	got := map[string]chan string{}
	for name, r := range protocols {
		cursor, err := r.Follow(t.Context(), id, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer cursor.Close()
		all := make(chan string, 1)
		got[name] = all
		go func() { all <- readAll(t, cursor) }()
	}

	// Lines as all sorts of clients send them, kept as sent.
	var want strings.Builder
	for n := 0; n < 3000; n += 100 {
		var batch []byte
		for i := n; i < n+100; i++ {
			batch = fmt.Appendf(batch, `{"level":"INFO","pos":%d,"out":"é \u2028 \\ \" <%d>\n","time":%d,"extra":[1, {"a":null}]}`+"\n", i, i*i, 1_000_000_000_000+i)
		}
		want.Write(batch)
		to := protocols["gRPC"]
		if n%200 == 0 {
			to = protocols["HTTP"]
		}
		if _, err := to.Append(t.Context(), id, logs.Lines{Data: batch, Count: 100}); err != nil {
			t.Fatal(err)
		}
	}
	if err := viaGRPC.Close(t.Context(), id, logs.Closing{}); err != nil {
		t.Fatal(err)
	}
	for name := range protocols {
		if lines := <-got[name]; lines != want.String() {
			t.Errorf("%s: %d bytes, want %d", name, len(lines), want.Len())
		}
	}
	c, err := p.client.client(id.Account)
	if err != nil {
		t.Fatal(err)
	}
	finished, err := c.Download(t.Context(), id.Key)
	if err != nil {
		t.Fatal(err)
	}
	defer finished.Close()
	if blob, err := io.ReadAll(finished); err != nil || string(blob) != want.String() {
		t.Errorf("archive: %d bytes, want %d, error %v", len(blob), want.Len(), err)
	}
}

// readAll reads a log to its end.
func readAll(t *testing.T, c logs.Cursor) string {
	var got strings.Builder
	for {
		batches, err := c.Next(t.Context())
		for _, b := range batches {
			got.Write(b.Data)
		}
		if errors.Is(err, io.EOF) {
			return got.String()
		}
		if err != nil {
			t.Error(err)
			return got.String()
		}
		<-c.Ready()
	}
}
