package redis

import (
	"context"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/harness/log-service/internal/logs"
)

// checkStart tries every operation of the engine on keys of its own, so that a
// missing permission is found at startup and not at the first log.
func (n *node) checkStart(ctx context.Context) error {
	if err := n.checkVersion(ctx); err != nil {
		return err
	}
	if err := n.policy.check(ctx); err != nil {
		return err
	}
	if err := n.members.heartbeat(ctx); err != nil {
		return err
	}
	h := (&keyspace{node: n, root: n.members.root + "check:" + n.id() + ":"}).handle("check", "g")
	defer h.forgetCheck()
	if err := h.checkScripts(ctx); err != nil {
		return err
	}
	if err := n.policy.checkFrequencies(ctx, h.root); err != nil {
		return err
	}
	if err := h.checkCommands(ctx); err != nil {
		return err
	}
	return n.checkReplicas(ctx)
}

// checkScripts runs each script over the whole life of a stream.
func (h handle) checkScripts(ctx context.Context) error {
	s, id, mayInfo := h.redis.scripts, h.id(), h.policy.mayInfo()
	start := header{kind: kindStart, lines: 1}.text()
	lines := []string{"1-0", header{kind: kindLines, lines: 1}.text(), "{}\n", "2-0", header{kind: kindLines, lines: 1}.text(), "{}\n"}
	for _, call := range []struct {
		script *script
		args   []string
	}{
		{s.open, []string{h.name, "0", h.gen, "1000", "0", start, "1", "1", "", "0"}},
		{s.append, append([]string{h.name, "0", h.gen}, lines...)},
		{s.refresh, []string{h.name, "0", "", "", mayInfo}},
		{s.reconcile, []string{"", "0", h.name, h.gen, "0", "", "3"}},
		{s.beat, []string{"", "0", id, "1", mayInfo, "0"}},
		{s.follow, []string{h.name, "0", id + "/check", "", ""}},
		{s.list, []string{"", "0", "-", "+", "1"}},
		{s.offload, []string{h.name, "0", id, h.gen, "", "1-2-check"}},
		{s.offloaded, []string{h.name, "0", id, h.gen, "1", "2", "1-2-check", "67", "x", "1", "0", "1", "1"}},
		{s.release, []string{h.name, "0", id, h.gen, "0", "0"}},
		{s.headers, []string{h.name, "0", h.gen, "-", "+", "0"}},
		{s.close, []string{h.name, "0", id, encodeHow(logs.Closing{}), h.gen, "5"}},
		{s.due, []string{"", "1", "1", "1", mayInfo}},
		{s.claim, []string{h.name, "0", id, "", "1", "0"}},
		{s.held, []string{h.name, "0", id, h.gen, "commit"}},
		{s.delete, []string{h.name, "0", h.gen, id}},
		{s.subscribers, []string{h.name, "0", id + "/check", h.gen, "0"}},
		{s.reap, []string{h.name, "0", h.gen, "2"}},
		{s.touch, []string{"", "0", "check"}},
	} {
		if _, err := h.call(ctx, call.script, call.args...); err != nil {
			return err
		}
	}
	return nil
}

// checkCommands tries the commands that are sent without a script.
func (h handle) checkCommands(ctx context.Context) error {
	c := h.redis
	for _, r := range c.DoMulti(ctx,
		c.B().Xread().Count(1).Block(1).Streams().Key(h.wakeKey()).Id("0-0").Build(),
		c.B().Xadd().Key(h.wakeKey()).Nomkstream().Id("1-0").FieldValue().FieldValue("w", "").Build(),
		c.B().Xrange().Key(h.wakeKey()).Start("-").End("+").Count(1).Build(),
		c.B().Xrevrange().Key(h.wakeKey()).End("+").Start("-").Count(1).Build(),
		c.B().Xdel().Key(h.wakeKey()).Id("1-0").Build(),
		c.B().Zrevrangebyscore().Key(h.key("p")).Max("1").Min("-inf").Limit(0, 1).Build(),
		c.B().Zrevrange().Key(h.key("r")).Start(0).Stop(0).Build(),
		c.B().Hdel().Key(h.key("q")).Field("1-2-check").Build(),
	) {
		if err := r.Error(); err != nil && !rueidis.IsRedisNil(err) {
			return err
		}
	}
	if err := h.sendWake(ctx, 1); err != nil {
		return err
	}
	return c.Do(ctx, c.B().Del().Key(h.wakeKey()).Build()).Error()
}

// forgetCheck removes what a check that failed halfway left: a server may be
// started repeatedly without a permission.
func (h handle) forgetCheck() {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	keys := []string{h.meta(), h.key("d"), h.key("p"), h.key("q"), h.key("r"), h.key("f"), h.root + "beat:" + h.id()}
	for _, name := range []string{"names", "due", "dead", "process", "canary"} {
		keys = append(keys, h.root+name)
	}
	_ = h.redis.Do(ctx, h.redis.B().Del().Key(keys...).Build()).Error() // the check reports what is wrong
}

func (n *node) checkVersion(ctx context.Context) error {
	// With the protocol version that is in use anyway: 6.0 requires one.
	hello, err := n.redis.Do(ctx, n.redis.B().Arbitrary("HELLO", "3").Build()).AsStrMap()
	if err, ok := rueidis.IsRedisErr(err); ok && strings.Contains(err.Error(), "unknown command") {
		return &versionError{"older than 6.0"}
	}
	if err != nil {
		return err
	}
	version := hello["version"]
	first, rest, _ := strings.Cut(version, ".")
	second, _, _ := strings.Cut(rest, ".")
	major, err := strconv.Atoi(first)
	minor, err2 := strconv.Atoi(second)
	if err != nil || err2 != nil {
		n.log.Warn("Redis reports a version that is not a number", "version", version)
		return nil
	}
	if major < minVersion[0] || major == minVersion[0] && minor < minVersion[1] {
		return &versionError{"of version " + version}
	}
	n.log.Info("streams are in Redis", slog.String("version", version), slog.String("mode", hello["mode"]), slog.String("node", n.id()))
	return nil
}

// checkReplicas warns if appends would wait for missing replicas. WAIT names no
// key, so the command before it selects the master.
func (n *node) checkReplicas(ctx context.Context) error {
	want := int64(n.redis.replicas)
	if want == 0 {
		return nil
	}
	var have int64
	err := n.redis.Dedicated(func(c rueidis.DedicatedClient) error {
		err := c.Do(ctx, c.B().Exists().Key(n.members.root).Build()).Error()
		if err == nil {
			have, err = c.Do(ctx, c.B().Wait().Numreplicas(want).Timeout(time.Second.Milliseconds()).Build()).AsInt64()
		}
		return err
	})
	if err == nil && have < want {
		n.log.Warn("Redis has fewer replicas than appends wait for: appends are refused until it has enough", "want", want, "have", have)
	}
	return err
}
