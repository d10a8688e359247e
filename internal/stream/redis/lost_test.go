package redis_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// rollBack lets Redis lose what was added to the stream since save, as a
// failover does: with its connections.
func rollBack(s *redistest.Server, key string) {
	s.Do("COPY", key+"-before", key, "REPLACE")
	s.Do("CLIENT", "KILL", "TYPE", "normal")
}

func save(s *redistest.Server, key string) { s.Do("COPY", key, key+"-before", "REPLACE") }

// plain appends n lines without an offset, as often as it takes.
func (l *log) plain(to *node, n int) (next int64) {
	l.t.Helper()
	data := ""
	for _, x := range l.writer.Lines(n) {
		l.lines = append(l.lines, x)
		data += x + "\n"
	}
	for {
		next, err := to.Append(l.t.Context(), l.id, logs.Lines{Data: []byte(data), Count: int64(n)})
		if err == nil {
			return next
		}
		if !errors.Is(err, logservice.ErrUnavailable) {
			l.t.Fatalf("append: %v", err)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// Redis lost lines; one node goes on where they were, and the one that had
// stored them does not go on in the middle of that.
func TestNoSequenceIsGivenTwiceAfterAFailOver(t *testing.T) {
	s := redistest.Start(t)
	nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}, Logger: slog.New(slog.DiscardHandler)})
	for _, how := range []string{"found out by the append", "found out before", "found out in between"} {
		t.Run(how, func(t *testing.T) {
			l := newLog(t, nodes[0])
			l.plain(nodes[0], 10)
			key := redis.DataKey(nodes[0].Engine, l.id)
			save(s, key)
			l.plain(nodes[0], 7)
			if how == "found out in between" { // a connection with many calls at once is read all the time
				var g errgroup.Group
				for range 50 {
					g.Go(func() error { _, err := nodes[0].Stat(t.Context(), l.id); return err })
				}
				if err := g.Wait(); err != nil {
					t.Fatal(err)
				}
			}
			rollBack(s, key)
			l.lines = l.lines[:10]
			if how == "found out before" { // for another stream
				eventually(t, "Redis is back", func() bool { return nodes[0].Check(t.Context()) == nil })
			}
			if next := l.plain(nodes[1], 20); next != 31 {
				t.Fatalf("next is %d after 10 lines that were left and 20 more", next)
			}
			if next := l.plain(nodes[0], 5); next != 36 {
				t.Errorf("next is %d after 30 lines and 5 more", next)
			}
			l.plain(nodes[1], 5)
			for _, n := range nodes {
				var c logs.Cursor
				eventually(t, "Redis is back", func() bool {
					var err error
					c, err = n.Follow(t.Context(), l.id, 0)
					return err == nil
				})
				l.expect(calm{c}, 0)
				c.Close()
			}
		})
	}
}

// Two nodes that see more than what they know of by appending take it for lost
// at once: each goes on when the other was faster.
func TestTwoNodesReportALossAtOnce(t *testing.T) {
	s := redistest.Start(t)
	nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}, Logger: slog.New(slog.DiscardHandler)})
	for range 20 {
		l := newLog(t, nodes[0])
		var tails []logs.Cursor
		for _, n := range nodes {
			tails = append(tails, l.follow(n, 0))
		}
		l.write(10)
		key := redis.DataKey(nodes[0].Engine, l.id)
		save(s, key)
		l.write(7)
		for _, c := range tails {
			l.expect(c, 0)
		}
		rollBack(s, key)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		var g errgroup.Group
		for _, n := range nodes {
			g.Go(func() error {
				for range 5 {
					for {
						_, err := n.Append(ctx, l.id, logs.Lines{Data: []byte("{}\n"), Count: 1})
						if err == nil {
							break
						}
						if !errors.Is(err, logservice.ErrUnavailable) || ctx.Err() != nil {
							return err
						}
					}
				}
				return nil
			})
		}
		err := g.Wait()
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			l.lines = append(l.lines, "{}")
		}
		for _, c := range tails {
			l.expect(calm{c}, 17)
			c.Close()
		}
		l.wantNoGap()
		err = nodes[0].Delete(t.Context(), l.id)
		for errors.Is(err, logservice.ErrUnavailable) && t.Context().Err() == nil { // a connection of before the restart
			err = nodes[0].Delete(t.Context(), l.id)
		}
		if err != nil && !errors.Is(err, logservice.ErrStreamNotFound) {
			t.Fatal(err)
		}
	}
}

// calm is a reader that reads again where Redis was away.
type calm struct{ logs.Cursor }

func (c calm) Next(ctx context.Context) ([]*logs.Batch, error) {
	for end := time.Now().Add(patience); ; {
		found, err := c.Cursor.Next(ctx)
		if !errors.Is(err, logservice.ErrUnavailable) || time.Now().After(end) {
			return found, err
		}
	}
}

// A node has not seen what Redis lost, and ends the log: those who have seen
// more than that reach the end, and nothing comes after it.
func TestTheEndIsSeenByWhoHasSeenMore(t *testing.T) {
	s := redistest.Start(t)
	for name, end := range map[string]func(*node, context.Context, logservice.ID) error{
		"close":  func(n *node, ctx context.Context, id logservice.ID) error { return n.Close(ctx, id, logs.Closing{}) },
		"delete": func(n *node, ctx context.Context, id logservice.ID) error { return n.Delete(ctx, id) },
		"truncate": func(n *node, ctx context.Context, id logservice.ID) error {
			return n.Open(ctx, id, logs.OpenOptions{Truncate: true})
		},
	} {
		t.Run(name, func(t *testing.T) {
			nodes := newNodes(t, 3, redis.Config{Addresses: []string{s.Addr}, Prefix: name + ":"})
			l := newLog(t, nodes[0])
			l.write(10)
			tail, late := l.follow(nodes[1], 0), l.follow(nodes[1], 0)
			defer tail.Close()
			defer late.Close()
			key := redis.DataKey(nodes[0].Engine, l.id)
			save(s, key)
			l.write(7)
			l.expect(tail, 0)
			s.Do("COPY", key+"-before", key, "REPLACE") // unnoticed
			if err := end(nodes[2], t.Context(), l.id); err != nil {
				t.Fatal(err)
			}
			ended(t, tail, io.EOF)
			for range 20 { // what that node has in memory, and the end
				if _, err := late.Next(t.Context()); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			_, err := nodes[0].Append(t.Context(), l.id, logs.Lines{Data: []byte("{}\n"), Count: 1})
			if name != "truncate" && !errors.Is(err, logservice.ErrStreamNotFound) {
				t.Errorf("appending after the end: %v", err)
			}
			if name == "truncate" {
				if err != nil {
					t.Fatal(err)
				}
				l.lines = []string{"{}"}
				l.read(nodes[1], 0)
			}
		})
	}
}

// ended waits until a cursor that has read all lines ends with one of errs.
func ended(t *testing.T, c logs.Cursor, errs ...error) {
	t.Helper()
	limit := time.After(patience)
	for {
		found, err := c.Next(t.Context())
		if slices.ContainsFunc(errs, func(want error) bool { return errors.Is(err, want) }) {
			return
		}
		if err != nil || len(found) > 0 {
			t.Fatalf("after the last line: %v, %v", found, err)
		}
		select {
		case <-c.Ready():
		case <-limit:
			t.Fatal("the end never comes")
		}
	}
}

// Readers that leave while Redis is away are not counted forever.
func TestReadersThatLeaveWhileRedisIsAwayAreForgotten(t *testing.T) {
	s := redistest.Start(t)
	n := newNodes(t, 1, redis.Config{Addresses: []string{s.Addr}, Logger: slog.New(slog.DiscardHandler)})[0]
	l := newLog(t, n)
	l.write(3)
	c := l.follow(n, 0)
	l.expect(c, 0)
	readers := func() string { return s.Do("HLEN", redis.ReadersKey(n.Engine, l.id)) }
	if got := readers(); got != "1" {
		t.Fatalf("%s readers are known", got)
	}
	s.Do("ACL", "SETUSER", "default", "-evalsha")
	c.Close()
	// The report comes at once and is refused; a heartbeat may come later.
	eventually(t, "Redis refused the report", func() bool { return rejected(s, "evalsha") > 1 })
	s.Do("ACL", "SETUSER", "default", "+@all")
	eventually(t, "no reader is known", func() bool { return readers() == "0" })
}

// rejected is how often Redis refused a command.
func rejected(s *redistest.Server, command string) (n int) {
	_, rest, _ := strings.Cut(s.Do("INFO", "commandstats"), "cmdstat_"+command+":")
	_, rest, _ = strings.Cut(rest, "rejected_calls=")
	n, _ = strconv.Atoi(rest[:strings.IndexByte(rest+",", ',')])
	return n
}

// What no replica got is neither acknowledged nor reported as lost, whatever
// else happens meanwhile: its writer tries again, and it is stored once.
func TestWhatNoReplicaGotIsStoredByTheRetry(t *testing.T) {
	s := redistest.StartSentinels(t)
	nodes := newNodes(t, 2, redis.Config{Addresses: s.Addrs, MasterName: redistest.MasterName, Replicas: 1, Logger: slog.New(slog.DiscardHandler)})
	l := newLog(t, nodes[0])
	for i := range 6 { // both nodes expect the other to append
		l.to = nodes[i%2]
		l.write(3)
	}
	s.AwaitReplicas()
	s.Replica.Pause()
	s.Master.Do("CLIENT", "KILL", "TYPE", "replica")
	lines := l.writer.Lines(7)
	a := logs.Lines{Data: []byte(strings.Join(lines, "\n") + "\n"), Count: 7, Dedupe: true}
	for _, n := range nodes {
		answer := make(chan error, 1)
		go func() {
			_, err := n.Append(t.Context(), l.id, a)
			answer <- err
		}()
		tick := time.NewTicker(300 * time.Millisecond)
		defer tick.Stop()
		for waits := true; waits; {
			select {
			case err := <-answer:
				if waits = false; !errors.Is(err, logservice.ErrUnavailable) {
					t.Fatalf("an append that no replica has: %v", err)
				}
			case <-tick.C:
				redis.Redial(n.Engine) // a connection made during an append changes nothing
			}
		}
	}
	s.Master.Kill()
	s.Replica.Resume()
	s.AwaitMaster(s.Replica)
	s.Master.Restart()
	s.Master, s.Replica = s.Replica, s.Master
	host, port, _ := net.SplitHostPort(s.Master.Addr)
	s.Replica.Do("REPLICAOF", host, port)
	s.AwaitReplicas()
	next, err := patient{nodes[1]}.Append(t.Context(), l.id, a)
	if l.lines = append(l.lines, lines...); err != nil || next != int64(len(l.lines)+1) {
		t.Fatalf("tried again: %d, %v", next, err)
	}
	for _, n := range nodes {
		l.read(n, 0)
	}
	l.wantNoGap()
}
