package clienttest_test

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	"github.com/harness/log-service/client/clienttest"
)

// spoiledGzip is "hello\nworld\n" with garbage after its end.
const spoiledGzip = "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\xcb\x48\xcd\xc9\xc9\xe7\x2a\xcf\x2f\xca\x49\xe1\x02\x00\xff\x5d\xc5\xc4\x0c\x00\x00\x00garbage"

// damagedServer has a damaged log.
func damagedServer(t *testing.T) (*clienttest.Server, *client.Client) {
	t.Helper()
	srv := clienttest.NewServer(t)
	c := srv.Client()
	if err := c.Upload(t.Context(), key, strings.NewReader(spoiledGzip)); err != nil {
		t.Fatal(err)
	}
	return srv, c
}

func TestDamageIsAnErrorOfItsOwnAndEndsTheRead(t *testing.T) {
	overBoth(t, func(t *testing.T, p protocol) {
		srv, _ := damagedServer(t)
		c := p.client(t, srv)
		for after, want := range []int{2, 1, 0} {
			lines, damages := 0, 0
			for line, err := range c.Tail(t.Context(), key, client.After(int64(after))) {
				damage, ok := errors.AsType[*logservice.DamageError](err)
				switch {
				case ok && errors.Is(err, logservice.ErrDamaged) && !errors.Is(err, logservice.ErrUnavailable):
					if damages++; damage.First != 3 || !damage.Rest || line.Seq != 3 || !strings.HasPrefix(line.Out, "[the log is damaged from here on: gzip: ") {
						t.Errorf("%+v, %+v", damage, line)
					}
				case err != nil:
					t.Fatal(err)
				default:
					lines++
				}
			}
			if lines != want || damages != 1 {
				t.Errorf("after %d: %d lines, %d damages", after, lines, damages)
			}
		}
		for line, err := range c.Lines(t.Context(), key, client.After(3)) {
			t.Errorf("after the mark: %+v, %v", line, err)
		}
	})
}

func TestADownloadReturnsWhatCanBeReadAndThenTheDamage(t *testing.T) {
	_, c := damagedServer(t)
	log, err := c.Download(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	got, err := io.ReadAll(log)
	damage, ok := errors.AsType[*logservice.DamageError](err)
	if !ok || damage.First != 3 || !strings.HasPrefix(string(got), "hello\nworld\n{\"gap\":{") {
		t.Errorf("%q, %v", got, err)
	}
}

func TestALineThatSpeaksOfGapsIsNoDamage(t *testing.T) {
	c := clienttest.NewServer(t).Client()
	const lines = `{"gap":{"first":1,"last":3},"out":"[3 lines lost]\n"}` + "\n" +
		`{"out":"{\"gap\":{\"first\":1,\"last\":3,\"damage\":\"x\"}}\n"}` + "\n" + ` {"gap":{"first":` + "\n" + `{"gap":{"first":`
	if err := c.Upload(t.Context(), key, strings.NewReader(lines)); err != nil {
		t.Fatal(err)
	}
	log, err := c.Download(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if got, err := io.ReadAll(log); err != nil || string(got) != lines {
		t.Errorf("%q, %v", got, err)
	}
}

func TestADownloadThatIsCutByDamageSaysSo(t *testing.T) {
	srv := clienttest.NewServer(t)
	c := srv.Client()
	if err := c.Upload(t.Context(), key, strings.NewReader(strings.Repeat("0123456789abcdef\n", 100_000))); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(filepath.Dir(t.TempDir()), "*", "blobs", "*.blob"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	stored, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	stored[len(stored)/4] ^= 1
	if err := os.WriteFile(files[0], stored, 0o600); err != nil {
		t.Fatal(err)
	}
	log, err := c.Download(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if got, err := io.ReadAll(log); !errors.Is(err, logservice.ErrDamaged) || len(got) == 0 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
