package streamtest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// patience limits every wait of the suite: after that, the engine is considered
// stuck. It is much longer than any engine needs, for busy machines.
const patience = 30 * time.Second

// tb is the part of *testing.T and *rapid.T that the helpers need.
type tb interface {
	Helper()
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
	Context() context.Context
}

// engine is the Streams under test with calls that must succeed.
type engine struct {
	logs.Streams
	remote bool
}

func start(t *testing.T, b Backend) engine {
	t.Helper()
	return engine{Streams: b.Open(t), remote: b.Remote}
}

// Append reuses the memory of the lines once it has returned, as callers may:
// an engine that still read it would serve garbage.
func (e engine) Append(ctx context.Context, id logservice.ID, l logs.Lines) (int64, error) {
	next, err := e.Streams.Append(ctx, id, l)
	for i := range l.Data {
		l.Data[i] = '#'
	}
	return next, err
}

// id returns an identity with a key in the test's account.
func id(key string) logservice.ID {
	return logservice.ID{Account: "acc", Key: logservice.Key(key)}
}

func (e engine) open(t tb, id logservice.ID) {
	t.Helper()
	if err := e.Open(t.Context(), id, logs.OpenOptions{}); err != nil {
		t.Fatalf("open %q: %v", id, err)
	}
}

func (e engine) truncate(t tb, id logservice.ID) {
	t.Helper()
	if err := e.Open(t.Context(), id, logs.OpenOptions{Truncate: true}); err != nil {
		t.Fatalf("open %q with truncate: %v", id, err)
	}
}

// append appends and checks the returned sequence.
func (e engine) append(t tb, id logservice.ID, l logs.Lines, wantNext int64) {
	t.Helper()
	next, err := e.Append(t.Context(), id, l)
	if err != nil {
		t.Fatalf("append of %d lines to %q: %v", l.Count, id, err)
	}
	if next != wantNext {
		t.Fatalf("append of %d lines to %q answers next sequence %d, want %d", l.Count, id, next, wantNext)
	}
}

// close closes a stream without an archive; a remote backend also deletes it.
func (e engine) close(t tb, id logservice.ID) {
	t.Helper()
	if err := e.Close(t.Context(), id, logs.Closing{Archive: logs.ArchiveNever}); err != nil {
		t.Fatalf("close %q: %v", id, err)
	}
}

// remove deletes a stream.
func (e engine) remove(t tb, id logservice.ID) {
	t.Helper()
	if e.remote {
		e.close(t, id)
		return
	}
	if err := e.Delete(t.Context(), id); err != nil {
		t.Fatalf("delete %q: %v", id, err)
	}
}

// info returns what List reports about id, and whether it is listed.
func (e engine) info(t tb, id logservice.ID) (logs.Info, bool) {
	t.Helper()
	for _, in := range e.list(t, logs.Filter{Account: id.Account, Prefix: id.Key}) {
		if in.ID == id {
			return in, true
		}
	}
	return logs.Info{}, false
}

func (e engine) list(t tb, f logs.Filter) []logs.Info {
	t.Helper()
	all, err := e.List(t.Context(), f)
	if err != nil {
		t.Fatalf("list %+v: %v", f, err)
	}
	return all
}

// contents reads a stream from its first line to its current end (if it is
// closed, to its final end) and compares.
func (e engine) contents(t tb, id logservice.ID, want []string) {
	t.Helper()
	r := e.follow(t, id, 0)
	defer r.Close()
	r.expect(t, want)
	if e.remote {
		return // an extra line could still arrive, but there is nothing to wait for
	}
	r.expectNothing(t)
}

func wantErr(t tb, err, want error, what string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("%s: got error %v, want %v", what, err, want)
	}
}

// eventually waits for a condition that no channel signals.
func eventually(t tb, what string, ok func() (bool, string)) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(patience)
	for {
		done, state := ok()
		if done {
			return
		}
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("%s: not within %v (%s)", what, patience, state)
		}
	}
}

func counted(got, want any) (bool, string) {
	return got == want, fmt.Sprintf("got %v, want %v", got, want)
}
