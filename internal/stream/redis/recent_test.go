package redis_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/batches"
	"github.com/harness/log-service/internal/stream/redis"
	"github.com/harness/log-service/internal/stream/redis/redistest"
)

// marked is a batch of one line whose retry is recognized.
func marked(i int) logs.Lines {
	line := fmt.Sprintf(`{"pos":%d,"time":1,"out":"%s"}`+"\n", i, strings.Repeat("x", 200))
	return logs.Lines{Data: []byte(line), Count: 1, Dedupe: true}
}

// mark appends the marked batches from ≤ i < to, or repeats them: afterwards the
// log must have so many lines.
func (l *log) mark(to *node, from, until, lines int) {
	l.t.Helper()
	for i := from; i < until; i++ {
		want := int64(i + 2)
		if lines > 0 {
			want = int64(lines + 1)
		}
		if next, err := (patient{to}).Append(l.t.Context(), l.id, marked(i)); err != nil || next != want {
			l.t.Fatalf("append %d: next is %d, %v; want %d", i, next, err, want)
		}
	}
}

// A retry is recognized at every node, wherever the lines are by now, however
// many others were appended, and whichever nodes have started or died since.
func TestARetryAtAnotherNodeIsRecognized(t *testing.T) {
	s := redistest.Start(t)
	nodes := newNodes(t, 3, redis.Config{Addresses: []string{s.Addr}, StreamMemory: 16 << 10})
	l := newLog(t, nodes[0])
	const n = 300
	l.mark(nodes[1], 0, 20, 0) // it then learns of all others at once
	l.mark(nodes[0], 20, n, 0)
	eventually(t, "older lines are in segments", func() bool { return stored(t, nodes[0].config.Store) > 3 })
	l.mark(nodes[1], 0, n, n)
	l.mark(nodes[2], 0, n, n)
	l.mark(nodes[0], 0, n, n)
	nodes[0].stop(t)
	nodes[1].stop(t)
	l.mark(nodes[2], 0, n, n)
	nodes[1].start(t)
	l.mark(nodes[1], 0, n, n)
	l.mark(nodes[1], n, n+1, 0)
}

// Redis holds all of a log, whose retries come to a node that has just started:
// it reads the headers of what is recent, page by page.
func TestARetryAfterARestartIsRecognizedAmongManyEntries(t *testing.T) {
	s := redistest.Start(t)
	n := newNodes(t, 1, redis.Config{Addresses: []string{s.Addr}})[0]
	l := newLog(t, n)
	const many = 3000
	l.mark(n, 0, many, 0)
	n.stop(t)
	n.start(t)
	before := calls(s, "zrevrange")
	for i := 0; i < many; i += 97 {
		l.mark(n, i, i+1, many)
	}
	if got := calls(s, "zrevrange") - before; got > 0 {
		t.Errorf("%d searches in segments of a log that has none", got)
	}
}

// Whatever a node knows of a log, an append without a retry is one XADD.
func TestAMarkedAppendIsOneCommand(t *testing.T) {
	s := redistest.Start(t)
	n := newNodes(t, 1, redis.Config{Addresses: []string{s.Addr}})[0]
	l := newLog(t, n)
	l.mark(n, 0, 1, 0)
	reads := func() (all int) {
		for _, c := range []string{"xrevrange", "xrange", "zrevrange", "zrevrangebyscore"} {
			all += calls(s, c)
		}
		return all
	}
	before, xadd := reads(), calls(s, "xadd")
	l.mark(n, 1, 201, 0)
	if got := reads() - before; got > 3 { // where a connection is made, the tail is read again
		t.Errorf("200 appends read Redis %d times", got)
	}
	if got := calls(s, "xadd") - xadd; got != 200 {
		t.Errorf("%d XADD for 200 appends", got)
	}
}

// advance moves the service's clock, and waits until a node knows.
func advance(t testing.TB, s *redistest.Server, n *node, by time.Duration) {
	t.Helper()
	before := redis.Clock(n.Engine)
	s.Do("HINCRBY", redis.ClockKey(n.config), "now", strconv.FormatInt(by.Milliseconds(), 10))
	eventually(t, "the clock has advanced", func() bool {
		return n.Check(t.Context()) == nil && redis.Clock(n.Engine) >= before+by
	})
}

// What identifies appends is kept for as long as clients retry, and no longer, in
// Redis and in the memory of nodes.
func TestWhatIdentifiesAppendsIsKeptForAsLongAsClientsRetry(t *testing.T) {
	s := redistest.Start(t)
	nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}, StreamMemory: 16 << 10})
	l := newLog(t, nodes[0])
	const n = 200
	l.mark(nodes[0], 0, n, 0)
	key := redis.TracesKey(nodes[0].Engine, l.id)
	traces := func() int {
		k, _ := strconv.Atoi(s.Do("ZCARD", key))
		return k
	}
	eventually(t, "older appends are in segments", func() bool { return traces() > 3 })
	for _, x := range nodes {
		advance(t, s, x, 0)
	}
	advance(t, s, nodes[0], 2*time.Minute)
	advance(t, s, nodes[1], 0)
	redis.Expire(nodes[0].Engine)
	l.mark(nodes[0], 0, n, n)
	l.mark(nodes[1], 0, n, n)
	if got := redis.Remembered(nodes[0].Engine); got != n {
		t.Errorf("%d appends are remembered, want %d", got, n)
	}
	advance(t, s, nodes[0], batches.RecentTime-2*time.Minute+time.Second)
	redis.Expire(nodes[0].Engine)
	if got := redis.Remembered(nodes[0].Engine); got != 0 {
		t.Errorf("%d appends are remembered when their time is over", got)
	}
	l.mark(nodes[0], n, n+100, 0)
	eventually(t, "the old ones are removed with the next segments", func() bool { return traces() <= 100*300/(4<<10)+1 })
	if got := redis.Remembered(nodes[0].Engine); got != 100 {
		t.Errorf("%d appends are remembered, want 100", got)
	}
	if err := nodes[0].Close(t.Context(), l.id, logs.Closing{}); err != nil {
		t.Fatal(err)
	}
	if traces() != 0 || redis.Remembered(nodes[0].Engine) != 0 {
		t.Errorf("a closed log leaves %d traces, %d appends are remembered", traces(), redis.Remembered(nodes[0].Engine))
	}
}

// Redis keeps what identifies the newest appends of a log, up to a number.
func TestWhatIdentifiesAppendsIsBounded(t *testing.T) {
	s := redistest.Start(t)
	n := newNodes(t, 1, redis.Config{Addresses: []string{s.Addr}, StreamMemory: 16 << 10})[0]
	l := newLog(t, n)
	l.mark(n, 0, 100, 0)
	key := redis.TracesKey(n.Engine, l.id)
	traces := func() int {
		k, _ := strconv.Atoi(s.Do("ZCARD", key))
		return k
	}
	eventually(t, "older appends are in segments", func() bool { return traces() > 0 && redis.Offloads(n.Engine) == 0 })
	before := traces()
	// The newest one has as many appends as are kept.
	s.Do("EVAL", `local x = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
		redis.call('ZREMRANGEBYRANK', KEYS[1], -1, -1)
		local h = string.sub(x[1], 1, 8) .. struct.pack('>I8', struct.unpack('>I8', x[1], 9) + ARGV[1])
		return redis.call('ZADD', KEYS[1], x[2], h .. string.sub(x[1], 17))`, "1", key, strconv.Itoa(batches.MaxRecent))
	l.mark(n, 100, 200, 0)
	eventually(t, "newer appends are in segments", func() bool { return redis.Offloads(n.Engine) == 0 })
	if got := s.Do("ZCOUNT", key, "-inf", "(2"); got != "0" {
		t.Errorf("the oldest of %d traces is kept beyond the limit", before)
	}
	l.mark(n, 150, 200, 200)
}

// What Redis has lost is not acknowledged as a retry: its writer still has it, and
// it is stored again.
func TestARetryOfWhatRedisLostIsStored(t *testing.T) {
	s := redistest.Start(t)
	for _, noticed := range []bool{true, false} {
		t.Run(fmt.Sprint("noticed ", noticed), func(t *testing.T) {
			nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}, Prefix: fmt.Sprintf("lost-%v:", noticed)})
			l := newLog(t, nodes[0])
			l.mark(nodes[0], 0, 10, 0)
			key := redis.DataKey(nodes[0].Engine, l.id)
			save(s, key)
			l.mark(nodes[0], 10, 17, 0)
			if noticed {
				rollBack(s, key)
			} else {
				s.Do("COPY", key+"-before", key, "REPLACE")
				l.mark(nodes[0], 17, 18, 0) // at the sequence that it takes for the next
			}
			lines := 17
			if !noticed {
				lines++
			}
			for i := 10; i < 17; i++ {
				for range 2 { // the retry, and one of that
					next, err := (patient{nodes[0]}).Append(t.Context(), l.id, marked(i))
					if want := int64(lines + i - 10 + 2); err != nil || next != want {
						t.Fatalf("append %d: next is %d, %v; want %d", i, next, err, want)
					}
				}
			}
			lines += 7
			l.mark(nodes[0], 0, 17, lines)
			l.mark(nodes[1], 0, 17, lines)
		})
	}
}

// Redis lost what a node had appended, and another one appended as much since: the
// node takes the appends of the other one for none of its own.
func TestARetryOfWhatReplacedLostLinesIsRecognized(t *testing.T) {
	s := redistest.Start(t)
	nodes := newNodes(t, 2, redis.Config{Addresses: []string{s.Addr}})
	l := newLog(t, nodes[0])
	l.mark(nodes[0], 0, 30, 0)
	key := redis.DataKey(nodes[0].Engine, l.id)
	save(s, key)
	l.mark(nodes[0], 30, 37, 0)
	rollBack(s, key)
	eventually(t, "Redis is back", func() bool { return nodes[0].Check(t.Context()) == nil })
	for i := range 7 {
		if next, err := (patient{nodes[1]}).Append(t.Context(), l.id, marked(100+i)); err != nil || next != int64(32+i) {
			t.Fatalf("append %d: next is %d, %v", i, next, err)
		}
	}
	l.mark(nodes[0], 100, 107, 37)
	l.mark(nodes[0], 0, 30, 37)
}
