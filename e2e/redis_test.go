package e2e_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/faultproxy"
	"github.com/harness/log-service/internal/stream/redis/redistest"
	"github.com/harness/log-service/internal/stream/streamtest"
)

// The fault runs: so many faults each, over so many lines. Writers retry 503, and
// in the end nothing is lost, duplicated or out of order. The runs mostly wait, so
// they run in parallel.
func faultRounds() int { return streamtest.Scale(1, 3, 50) }
func faultLines() int  { return streamtest.Scale(20_000, 200_000, 1_000_000) }

// TestLogsSurviveWhatHappensToRedis kills Redis, suspends it, and cuts its
// connections at random bytes.
func TestLogsSurviveWhatHappensToRedis(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(*fleet, *redistest.Server, *faultproxy.Proxy, int){
		"killed": func(_ *fleet, redis *redistest.Server, _ *faultproxy.Proxy, _ int) {
			redis.Kill()
			redis.Restart()
		},
		"hung": func(f *fleet, redis *redistest.Server, _ *faultproxy.Proxy, round int) {
			redis.Pause()
			f.awaitUnready() // calls are waiting
			if round > 3 && round%8 == 0 {
				f.awaitRefusals() // and have waited for as long as they may
			}
			redis.Resume()
		},
		"cut off": func(_ *fleet, _ *redistest.Server, proxy *faultproxy.Proxy, _ int) { proxy.CutAll() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if unraced(t) {
				return
			}
			redis := redistest.Start(t, "--appendfsync", "always") // acknowledged data must survive
			config := faultproxy.Config{Target: redis.Addr, Seed: 3}
			if name == "cut off" {
				most := int64(faultLines()) * 200 / int64(faultRounds()) // about the bytes written per round
				config.Up, config.Down = faultproxy.Range{Min: 1, Max: most}, faultproxy.Range{Min: 1, Max: most}
			}
			proxy := startProxy(t, config)
			f := newFleet(t, plainProgram(t), "LOG_SERVICE_REDIS_ENDPOINT="+proxy.Addr())
			f.run(faultLines(), 1, faultRounds(), func(round int) { fault(f, redis, proxy, round) })
			if name == "cut off" {
				t.Logf("%d connections were cut at a random byte", proxy.Cuts())
				if proxy.Cuts() < int64(faultRounds()) {
					t.Errorf("only %d connections to Redis were cut at a random byte: this shows little", proxy.Cuts())
				}
			}
			for _, s := range f.servers {
				s.stop()
			}
		})
	}
}

// awaitUnready waits until every server reports that its Redis does not answer.
func (f *fleet) awaitUnready() {
	f.t.Helper()
	for _, s := range f.servers {
		w := newWire(s.url)
		for begun := time.Now(); ; {
			a, err := w.call(f.t.Context(), http.MethodGet, "/ready/healthz", "x", "", nil)
			if err == nil && a.status == http.StatusServiceUnavailable && strings.Contains(string(a.body), "Redis does not answer") {
				break
			}
			if time.Since(begun) > startLimit {
				f.t.Fatalf("readiness while Redis hangs is %v, %v", a, err)
			}
			<-time.After(retryPause)
		}
	}
}

// awaitRefusals waits until every server has given up a call to Redis.
func (f *fleet) awaitRefusals() {
	f.t.Helper()
	for _, s := range f.servers {
		a, err := newWire(s.url).call(f.t.Context(), http.MethodPost, "/stream", "refused/log", "", nil)
		if err := want(a, err, http.StatusServiceUnavailable); err != nil {
			f.t.Fatal(err)
		}
	}
}

// TestLogsSurviveFailOvers kills the master repeatedly; the replica that takes over
// has everything acknowledged.
func TestLogsSurviveFailOvers(t *testing.T) {
	t.Parallel()
	if unraced(t) {
		return
	}
	s := redistest.StartSentinels(t)
	f := newFleet(t, plainProgram(t), "LOG_SERVICE_REDIS_USE_SENTINEL=true", "LOG_SERVICE_REDIS_MASTER_NAME="+redistest.MasterName,
		"LOG_SERVICE_REDIS_SENTINEL_ADDRS="+strings.Join(s.Addrs, ","), "LOG_SERVICE_REDIS_REPLICAS=1")
	f.run(faultLines(), 1, faultRounds(), func(int) { s.FailOver() })
}

// TestANodeThatIsKilledLosesNothing kills servers while clients write and follow,
// which continue on the other one; and a server that has closed a log but could not
// archive it, which the other one then does.
func TestANodeThatIsKilledLosesNothing(t *testing.T) {
	t.Parallel()
	if unraced(t) {
		return
	}
	redis := redistest.Start(t)
	f := newFleet(t, plainProgram(t), "LOG_SERVICE_REDIS_ENDPOINT="+redis.Addr)
	f.run(faultLines(), 1, faultRounds(), func(round int) {
		s := f.servers[round%2]
		s.kill()
		s.start()
	})

	ctx := t.Context()
	first, second := f.servers[0], f.servers[1]
	direct := newWire(first.url)
	const key = "orphan/log"
	if err := direct.open(ctx, key); err != nil {
		t.Fatal(err)
	}
	sent, err := writeThrough(ctx, direct, key, 20_000)
	if err != nil {
		t.Fatal(err)
	}
	f.s3.Hang()
	if err := direct.close(ctx, key, "snapshot=true"); err != nil {
		t.Fatal(err)
	}
	first.kill()
	f.s3.Resume()
	archived := newHashing()
	late := tailer{wire: newWire(second.url), key: key, line: archived.line}
	if err := late.run(ctx); err != nil || archived.String() != sent.String() {
		t.Errorf("the closed log has %d lines of SHA-256 %v, sent were %d of %v (%v)", archived.lines, archived, sent.lines, sent, err)
	}
	awaitArchive(t, second, key)
}

// awaitArchive waits until a log is archived, and its stream gone.
func awaitArchive(t *testing.T, s *process, key string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(60 * time.Second)
	for {
		state := string(s.command(nil, "cistream", "info", "-o", "json", "--account", "acc"))
		if !strings.Contains(state, key) && stateOf(t, s, key) == "archived" {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("%s is not archived by the other server: %s", key, state)
		}
	}
}

// stateOf returns the state that a server reports for a log.
func stateOf(t *testing.T, s *process, key string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/stream?accountID=acc&key="+key, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	return resp.Header.Get(logservice.HeaderState)
}
