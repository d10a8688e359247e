package clienttest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
	"github.com/harness/log-service/client/clienttest"
)

const key = logservice.Key("build/1/test/unit")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// all collects a read that must succeed.
func all(t *testing.T, lines iter.Seq2[logservice.Line, error]) []logservice.Line {
	t.Helper()
	var got []logservice.Line
	for l, err := range lines {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, l)
	}
	return got
}

func opened(t *testing.T, c *client.Client, keys ...logservice.Key) {
	t.Helper()
	for _, k := range keys {
		if err := c.Open(t.Context(), k); err != nil {
			t.Fatal(err)
		}
	}
}

func TestALogFromOpenToDownload(t *testing.T) {
	c := clienttest.NewServer(t).Client()
	opened(t, c, key)
	want := []logservice.Line{
		{Level: "info", Pos: 0, Out: "a <b>\n", Time: time.Date(2026, 1, 2, 15, 4, 5, 6, time.UTC)},
		{Level: "WARN", Pos: 1, Out: "\u2028é", Time: time.Date(2026, 1, 2, 15, 4, 6, 0, time.UTC), Args: map[string]string{"k": "v"}},
	}
	if next, err := c.Append(t.Context(), key, want); next != 3 || err != nil {
		t.Fatalf("next %d, error %v", next, err)
	}
	want[0].Seq, want[1].Seq = 1, 2
	if diff := cmp.Diff(want, all(t, c.Lines(t.Context(), key))); diff != "" {
		t.Errorf("live:\n%s", diff)
	}
	infos, err := c.Info(t.Context(), client.Under("build/1"))
	if err != nil || len(infos) != 1 || infos[0].Key != key || infos[0].Lines != 2 || infos[0].TTL < 4*time.Hour || infos[0].Bytes < 100 {
		t.Errorf("%+v, error %v", infos, err)
	}
	if err := c.Close(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	for name, lines := range map[string]iter.Seq2[logservice.Line, error]{"tail": c.Tail(t.Context(), key), "lines": c.Lines(t.Context(), key)} {
		if diff := cmp.Diff(want, all(t, lines)); diff != "" {
			t.Errorf("archived, %s:\n%s", name, diff)
		}
	}
	var raw []byte
	for r, err := range c.TailRaw(t.Context(), key) {
		if err != nil {
			t.Fatal(err)
		}
		raw = append(append(raw, r.JSON...), '\n')
	}
	if got := download(t, c, key); !bytes.Equal(got, raw) {
		t.Errorf("downloaded\n%s\nwant\n%s", got, raw)
	}
	if got := download(t, c, key, client.Range(3, 5)); !bytes.Equal(got, raw[3:8]) {
		t.Errorf("range %q, want %q", got, raw[3:8])
	}
}

func download(t *testing.T, c *client.Client, k logservice.Key, opts ...client.DownloadOption) []byte {
	t.Helper()
	body, err := c.Download(t.Context(), k, opts...)
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestATailFollowsUntilTheClose(t *testing.T) {
	overBoth(t, func(t *testing.T, p protocol) {
		srv := clienttest.NewServer(t)
		c := p.client(t, srv)
		opened(t, c, key)
		more := func() {
			if _, err := c.Append(t.Context(), key, []logservice.Line{{Out: "x"}}); err != nil {
				t.Error(err)
			}
		}
		more()
		n := int64(0)
		for l, err := range c.Tail(t.Context(), key) {
			if n++; err != nil || l.Seq != n {
				t.Fatalf("line %d, error %v", l.Seq, err)
			}
			if n < 100 {
				more()
			} else if err := c.Close(t.Context(), key, client.Snapshot(false)); err != nil {
				t.Fatal(err)
			}
		}
		if n != 100 {
			t.Errorf("%d lines", n)
		}
		if yes, err := srv.Client().Exists(t.Context(), key); yes || err != nil {
			t.Errorf("archived %v, error %v", yes, err)
		}
	})
}

func TestBodiesOfAllFormats(t *testing.T) {
	overBoth(t, func(t *testing.T, p protocol) {
		srv := clienttest.NewServer(t)
		c := p.client(t, srv)
		opened(t, c, key)
		for _, b := range []struct{ kind, data string }{
			{client.JSON, `[{"out":"a"},{"out":"b"}]`}, {client.NDJSON, "{\"out\":\"c\"}\n"}, {client.Text, "d\ne\n"},
		} {
			if _, err := c.AppendBody(t.Context(), key, b.kind, []byte(b.data)); err != nil {
				t.Fatal(err)
			}
		}
		next, err := c.AppendBody(t.Context(), key, client.NDJSON, []byte("{\"out\":\"e\"}\n{\"out\":\"f\"}\n"), client.Offset(5))
		if next != 7 || err != nil {
			t.Errorf("next %d, error %v", next, err)
		}
		var text strings.Builder
		for _, l := range all(t, c.Lines(t.Context(), key)) {
			text.WriteString(strings.TrimSuffix(l.Out, "\n"))
		}
		if text.String() != "abcdef" {
			t.Errorf("read %s", text.String())
		}
	})
}

func TestRefusalsOfARealServerMapToErrors(t *testing.T) {
	overBoth(t, func(t *testing.T, p protocol) {
		srv := clienttest.NewServer(t)
		c := p.client(t, srv)
		opened(t, c, "open")
		_, appendErr := c.Append(t.Context(), key, nil)
		_, gapErr := c.Append(t.Context(), "open", []logservice.Line{{Out: "x"}}, client.Offset(7))
		_, jsonErr := c.AppendBody(t.Context(), "open", client.JSON, []byte(`[{]`))
		_, largeErr := c.AppendBody(t.Context(), "open", client.JSON, bytes.Repeat([]byte{' '}, logservice.DefaultMaxBodyBytes+1))
		_, downloadErr := srv.Client().Download(t.Context(), key)
		for _, e := range []struct{ err, want error }{
			{appendErr, logservice.ErrStreamNotFound}, {c.Close(t.Context(), key), logservice.ErrStreamNotFound},
			{gapErr, logservice.ErrConflict}, {jsonErr, logservice.ErrInvalid}, {largeErr, logservice.ErrTooLarge},
			{downloadErr, logservice.ErrBlobNotFound},
		} {
			if !errors.Is(e.err, e.want) {
				t.Errorf("error %v, want %v", e.err, e.want)
			}
		}
		if gap, ok := errors.AsType[*logservice.SequenceError](gapErr); !ok || gap.Expected != 1 {
			t.Errorf("gap: %v", gapErr)
		}
		for _, err := range c.Tail(t.Context(), key) {
			if !errors.Is(err, logservice.ErrStreamNotFound) {
				t.Errorf("tail: %v", err)
			}
		}
	})
}

func TestBlobsAreKeptByteForByte(t *testing.T) {
	c := clienttest.NewServer(t).Client()
	exists := func() bool {
		yes, err := c.Exists(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		return yes
	}
	upload := func(r io.Reader, opts ...client.UploadOption) {
		if err := c.Upload(t.Context(), key, r, opts...); err != nil {
			t.Fatal(err)
		}
	}
	if exists() {
		t.Error("exists before")
	}
	upload(strings.NewReader("a\x00\xff\r\n"))
	upload(io.MultiReader(strings.NewReader("b")), client.AtEnd())
	if got := download(t, c, key); string(got) != "a\x00\xff\r\nb" || !exists() {
		t.Errorf("downloaded %q", got)
	}
	for range 2 {
		if err := c.Delete(t.Context(), key); err != nil {
			t.Fatal(err)
		}
	}
	if exists() {
		t.Error("exists after")
	}
}

func TestLinksCarryALogBothWays(t *testing.T) {
	c := clienttest.NewServer(t).Client()
	up, err := c.UploadLink(t.Context(), key, 2*time.Hour)
	if err != nil || up.Expires != 2*time.Hour {
		t.Fatalf("%+v, error %v", up, err)
	}
	down, err := c.DownloadLink(t.Context(), key, 0)
	if err != nil {
		t.Fatal(err)
	}
	visit(t, http.MethodPut, up.URL, "{\"out\":\"x\"}\n")
	if got := visit(t, http.MethodGet, down.URL, ""); got != "{\"out\":\"x\"}\n" {
		t.Errorf("got %q", got)
	}
}

func visit(t *testing.T, method, url, body string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode/100 != 2 {
		t.Fatalf("%s: %s, error %v", resp.Status, got, err)
	}
	return string(got)
}

func TestClosingUnderAPrefixClosesWholeSegments(t *testing.T) {
	overBoth(t, func(t *testing.T, p protocol) {
		srv := clienttest.NewServer(t)
		c := p.client(t, srv)
		opened(t, c, "run:1", "run:1/a", "run:10/a")
		if err := c.CloseUnder(t.Context(), "run:1", client.Snapshot(true)); err != nil {
			t.Fatal(err)
		}
		infos, err := c.Info(t.Context())
		if err != nil || len(infos) != 1 || infos[0].Key != "run:10/a" {
			t.Errorf("%+v, error %v", infos, err)
		}
	})
}

func TestAnOpenedLogIsKeptUnlessTruncated(t *testing.T) {
	overBoth(t, func(t *testing.T, p protocol) {
		srv := clienttest.NewServer(t)
		c := p.client(t, srv)
		opened(t, c, key)
		if _, err := c.Append(t.Context(), key, make([]logservice.Line, 3)); err != nil {
			t.Fatal(err)
		}
		opened(t, c, key)
		if next, err := c.Append(t.Context(), key, nil); next != 4 || err != nil {
			t.Errorf("next %d, error %v", next, err)
		}
		if err := c.Open(t.Context(), key, client.Truncate(), client.TTL(time.Minute)); err != nil {
			t.Fatal(err)
		}
		if next, err := c.Append(t.Context(), key, nil); next != 1 || err != nil {
			t.Errorf("next %d, error %v", next, err)
		}
	})
}

func TestAccountsAreSeparate(t *testing.T) {
	overBoth(t, func(t *testing.T, p protocol) {
		srv := clienttest.NewServer(t)
		one, other := p.client(t, srv, client.WithAccount("one")), p.client(t, srv, client.WithAccount("other"))
		opened(t, one, key)
		if err := other.Close(t.Context(), key); !errors.Is(err, logservice.ErrStreamNotFound) {
			t.Errorf("error %v", err)
		}
		if one.Account() != "one" {
			t.Error(one.Account())
		}
	})
}

func TestWritersShareALog(t *testing.T) {
	overBoth(t, func(t *testing.T, p protocol) {
		srv := clienttest.NewServer(t)
		c := p.client(t, srv)
		opened(t, c, key)
		const writers, each = 4, 500
		var open []*client.Writer
		for range writers {
			open = append(open, c.Writer(t.Context(), key, client.Shared()))
		}
		for n := range each {
			for i, w := range open {
				fmt.Fprintf(w, "%d of %d\n", n, i)
			}
		}
		for _, w := range open {
			if err := w.Close(); err != nil {
				t.Error(err)
			}
		}
		seen := make(map[string]int)
		for _, l := range all(t, c.Lines(t.Context(), key)) {
			seen[l.Out]++
		}
		if len(seen) != writers*each {
			t.Errorf("%d different lines", len(seen))
		}
	})
}
