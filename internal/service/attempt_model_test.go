package service_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/s3/s3test"
	"github.com/harness/log-service/internal/stream/streamtest"
)

func TestMain(m *testing.M) {
	streamtest.LimitChecks(30) // the model waits for archives
	os.Exit(m.Run())
}

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
