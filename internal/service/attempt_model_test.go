package service_test

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/service"
	"github.com/harness/log-service/internal/store/s3/s3test"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// The model: a log is a list of attempts; an attempt has what was streamed, and
// then what only its uploads had. Whatever is opened, appended, uploaded (all,
// the end, nothing, late), closed, truncated, cut off by a crash and resumed:
// every acknowledged line is in exactly one place of exactly one attempt, in
// order, and a reader who goes on from where it was misses and repeats none.
func TestEveryAcknowledgedLineIsInOnePlaceOfOneAttempt(t *testing.T) {
	engines := map[string]func(t *testing.T) *rig{
		"disk":   func(t *testing.T) *rig { return newRig(t) },
		"memory": func(t *testing.T) *rig { return newRig(t, inMemory(t)) },
		"redis":  func(t *testing.T) *rig { return twoServers(t, func(s logs.Store) logs.Store { return s })[0] },
	}
	for _, kind := range s3test.Kinds() {
		if os.Getenv(streamtest.LongEnv) == "" {
			break
		}
		engines[string(kind)] = func(t *testing.T) *rig {
			checks := flag.Lookup("rapid.checks") // each call of a bucket takes a while
			before := checks.Value.String()
			if err := checks.Value.Set("10"); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = checks.Value.Set(before) })
			return objectRig(t, newBucket(t, kind))
		}
	}
	for name, start := range engines {
		t.Run(name, func(t *testing.T) {
			m := &attemptModel{rig: start(t), crashes: name == "disk"}
			rapid.Check(t, func(rt *rapid.T) {
				m.runs++
				m.id = logservice.ID{Account: "acme", Key: logservice.Key(fmt.Sprintf("model/%d", m.runs))}
				m.attempts, m.open, m.readers = nil, false, nil
				rt.Repeat(map[string]func(*rapid.T){
					"open": m.opens, "append": m.appends, "lose": m.loses, "upload": m.uploads, "empty upload": m.uploadsNothing,
					"close": m.closes, "truncate": m.truncates, "follow": m.follows, "resume": m.resumes, "crash": m.crash, "": m.check,
				})
			})
		})
	}
}

type attemptModel struct {
	*rig
	crashes bool
	runs    int
	id      logservice.ID

	open     bool
	attempts []*modelAttempt
	readers  []*modelReader
}

// modelAttempt is an attempt with lines, or the open one.
type modelAttempt struct {
	made     []string   // what its writer wrote
	streamed []string   // of that, what was acknowledged
	added    []string   // by uploads
	waiting  [][]string // uploads that are joined at the close
}

func (a *modelAttempt) lines() []string { return append(slices.Clone(a.streamed), a.added...) }

// modelReader is how far a reader of one attempt is.
type modelReader struct {
	attempt int // index
	at      logservice.Position
	got     []string
}

func (m *attemptModel) current() *modelAttempt { return m.attempts[len(m.attempts)-1] }

func (m *attemptModel) line(a *modelAttempt) string {
	n := len(a.made)
	text := fmt.Sprintf("%d of attempt %d", n, len(m.attempts))
	a.made = append(a.made, text)
	return text
}

func modelLine(pos int, text string) string {
	return fmt.Sprintf(`{"pos":%d,"out":%q}`+"\n", pos, text+"\n")
}

func (m *attemptModel) opens(rt *rapid.T) {
	err := m.Open(m.t.Context(), m.id, logs.OpenOptions{})
	if errors.Is(err, logservice.ErrUnavailable) { // what a crash left is being archived
		eventually(m.t, "the log can be opened", func() bool {
			err = m.Open(m.t.Context(), m.id, logs.OpenOptions{})
			return !errors.Is(err, logservice.ErrUnavailable)
		})
	}
	if err != nil {
		rt.Fatal(err)
	}
	if !m.open {
		m.begin()
	}
}

func (m *attemptModel) begin() {
	m.open = true
	m.attempts = append(m.attempts, &modelAttempt{})
}

func (m *attemptModel) appends(rt *rapid.T) {
	if !m.open {
		return // nothing is open
	}
	a := m.current()
	var data strings.Builder
	n := rapid.IntRange(1, 5).Draw(rt, "lines")
	for range n {
		pos := len(a.made)
		text := m.line(a)
		data.WriteString(modelLine(pos, text))
		a.streamed = append(a.streamed, text)
	}
	if _, err := m.Append(m.t.Context(), m.id, logs.Lines{Data: []byte(data.String()), Count: int64(n)}); err != nil {
		rt.Fatal(err)
	}
}

// loses is a batch that could not be sent.
func (m *attemptModel) loses(rt *rapid.T) {
	if !m.open {
		return // nothing is open
	}
	m.line(m.current())
}

// uploads sends what the writer of the newest attempt wrote, or its end.
func (m *attemptModel) uploads(rt *rapid.T) {
	if len(m.attempts) == 0 || len(m.current().made) == 0 {
		return // nothing was written
	}
	a := m.current()
	from := 0
	if rapid.Bool().Draw(rt, "the end only") {
		from = rapid.IntRange(0, len(a.made)-1).Draw(rt, "from")
	}
	var body strings.Builder
	for i, text := range a.made[from:] {
		body.WriteString(modelLine(from+i, text))
	}
	related := len(a.lines()) == 0 || from > last(a.made, a.lines()) || slices.ContainsFunc(a.made[from:], func(s string) bool { return slices.Contains(a.lines(), s) })
	if !related {
		return // it would be another log
	}
	if err := m.PutBlob(m.t.Context(), m.id, strings.NewReader(body.String()), false); err != nil {
		rt.Fatal(err)
	}
	if m.open {
		a.waiting = append(a.waiting, slices.Clone(a.made[from:]))
		return
	}
	if len(a.streamed) == 0 { // it replaces what was uploaded before
		a.added = slices.Clone(a.made[from:])
		return
	}
	a.add(a.made[from:])
}

func last(made, lines []string) int {
	n := -1
	for i, s := range made {
		if slices.Contains(lines, s) {
			n = i
		}
	}
	return n
}

// add adds what the attempt does not have.
func (a *modelAttempt) add(lines []string) {
	have := a.lines()
	for _, s := range lines {
		if !slices.Contains(have, s) {
			a.added = append(a.added, s)
		}
	}
}

func (m *attemptModel) uploadsNothing(rt *rapid.T) {
	if len(m.attempts) == 0 || len(m.current().streamed) == 0 {
		return // it would not be refused
	}
	if err := m.PutBlob(m.t.Context(), m.id, strings.NewReader(""), false); !errors.Is(err, logservice.ErrConflict) {
		rt.Fatal(err)
	}
}

func (m *attemptModel) closes(rt *rapid.T) {
	if !m.open {
		return // nothing is open
	}
	if err := m.Close(m.t.Context(), m.id, logs.ArchiveIfMissing); err != nil {
		rt.Fatal(err)
	}
	m.ended()
	m.awaitArchived(rt)
}

func (m *attemptModel) awaitArchived(rt *rapid.T) {
	eventually(m.t, "nothing waits to be archived", func() bool {
		infos, err := m.List(m.t.Context(), logs.Filter{Account: m.id.Account})
		if err != nil {
			rt.Fatal(err)
		}
		return !slices.ContainsFunc(infos, func(i logs.Info) bool { return i.Closed })
	})
}

// ended joins what was uploaded.
func (m *attemptModel) ended() {
	m.open = false
	a := m.current()
	for i, lines := range a.waiting {
		if len(a.streamed) > 0 || i == len(a.waiting)-1 { // without streamed lines, the last replaces the others
			a.add(lines)
		}
	}
	a.waiting = nil
	if len(a.lines()) == 0 { // it was none
		m.attempts = m.attempts[:len(m.attempts)-1]
	}
}

func (m *attemptModel) truncates(rt *rapid.T) {
	if !m.open || len(m.current().streamed) > 0 || len(m.current().waiting) > 0 {
		return // it would drop lines
	}
	if err := m.Open(m.t.Context(), m.id, logs.OpenOptions{Truncate: true}); err != nil {
		rt.Fatal(err)
	}
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

// crash goes on with a server that has what is on the disk.
func (m *attemptModel) crash(rt *rapid.T) {
	if !m.crashes || rapid.IntRange(0, 3).Draw(rt, "crash") > 0 {
		return // rarely
	}
	m.awaitArchived(rt) // a copy of a store that is being written would be torn
	dir := m.t.TempDir()
	if err := os.CopyFS(filepath.Join(dir, "streams"), os.DirFS(filepath.Join(m.dir, "streams"))); err != nil {
		rt.Fatal(err)
	}
	for _, name := range []string{"blobs.db", "blobs"} {
		from := filepath.Join(m.dir, name)
		info, err := os.Stat(from)
		switch {
		case errors.Is(err, os.ErrNotExist):
		case err != nil:
			rt.Fatal(err)
		case info.IsDir():
			err = os.CopyFS(filepath.Join(dir, name), os.DirFS(from))
		default:
			var data []byte
			if data, err = os.ReadFile(from); err == nil {
				err = os.WriteFile(filepath.Join(dir, name), data, 0o600)
			}
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			rt.Fatal(err)
		}
	}
	m.stop()
	m.rig = start(m.t, dir)
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
