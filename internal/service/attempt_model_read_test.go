package service_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/service"
)

// modelReader is how far a reader of one attempt is.
type modelReader struct {
	attempt int // index
	at      logservice.Position
	got     []string
}

// follows reads a part of the newest attempt with lines.
func (m *attemptModel) follows(rt *rapid.T) {
	n := len(m.attempts)
	for n > 0 && len(m.attempts[n-1].streamed) == 0 {
		n--
	}
	if n == 0 {
		return // nothing to read
	}
	c, _, err := m.Follow(m.t.Context(), m.id, service.From{Position: logservice.Position{Attempt: int64(n)}, Only: true})
	if err != nil {
		rt.Fatal(err)
	}
	defer c.Close()
	batches, err := c.Next(m.t.Context())
	if err != nil || len(batches) == 0 {
		rt.Fatalf("%d batches, %v", len(batches), err)
	}
	b := batches[0]
	count := rapid.IntRange(1, int(b.Count)).Draw(rt, "read")
	r := &modelReader{attempt: n - 1, at: logservice.Position{Attempt: int64(n), Sequence: int64(count)}}
	n = 0
	for line := range bytes.Lines(b.Data) {
		if n++; n <= count {
			r.got = append(r.got, plain(m.t, line)...)
		}
	}
	m.readers = append(m.readers, r)
}

// resumes reads on from where a reader was; it must have read its attempt then.
func (m *attemptModel) resumes(rt *rapid.T) {
	if len(m.readers) == 0 {
		return // nobody reads
	}
	m.awaitArchived(rt)
	r := rapid.SampledFrom(m.readers).Draw(rt, "reader")
	c, _, err := m.Follow(m.t.Context(), m.id, service.From{Position: r.at, Existing: true})
	if err != nil {
		rt.Fatal(err)
	}
	defer c.Close()
	got := slices.Clone(r.got)
	for {
		batches, err := c.Next(m.t.Context())
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			rt.Fatal(err)
		}
		if c.Attempt() != r.at.Attempt {
			break
		}
		for _, b := range batches {
			got = append(got, plain(m.t, b.Data)...)
		}
	}
	a := m.attempts[r.attempt]
	want := a.streamed
	if !m.open || a != m.current() {
		want = a.lines()
	}
	if !sameLines(got, want, len(a.streamed)) {
		rt.Fatalf("a reader of attempt %d has got\n%q\nwant\n%q", r.at.Attempt, got, want)
	}
}

// sameLines reports whether the first n lines are the same, and the others are,
// in any order: uploads that came one after the other are joined in an order of
// their own.
func sameLines(got, want []string, n int) bool {
	if len(got) != len(want) || !slices.Equal(got[:n], want[:n]) {
		return false
	}
	return slices.Equal(slices.Sorted(slices.Values(got[n:])), slices.Sorted(slices.Values(want[n:])))
}

// plain returns the texts of lines that a writer made.
func plain(t testing.TB, data []byte) (texts []string) {
	for line := range bytes.Lines(data) {
		if text := textOf(t, line); !strings.HasPrefix(text, "[") {
			texts = append(texts, text)
		}
	}
	return texts
}

// check reads every attempt.
func (m *attemptModel) check(rt *rapid.T) {
	m.awaitArchived(rt) // until then a tail has what was streamed
	for i, a := range m.attempts {
		want := a.streamed
		live := m.open && a == m.current()
		if !live {
			want = a.lines()
		}
		if len(want) == 0 {
			continue
		}
		c, _, err := m.Follow(m.t.Context(), m.id, service.From{Position: logservice.Position{Attempt: int64(i + 1)}, Only: true, Existing: true})
		if err != nil {
			rt.Fatalf("attempt %d: %v", i+1, err)
		}
		var got []string
		for {
			batches, err := c.Next(m.t.Context())
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				rt.Fatal(err)
			}
			for _, b := range batches {
				got = append(got, plain(m.t, b.Data)...)
			}
		}
		c.Close()
		if !sameLines(got, want, len(a.streamed)) {
			rt.Fatalf("attempt %d of %d has\n%q\nwant\n%q", i+1, len(m.attempts), got, want)
		}
	}
}
