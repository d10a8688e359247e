package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/harness/log-service/internal/logs"
)

const (
	// dialTimeout bounds a connection: one machine room, and some patience.
	dialTimeout = 5 * time.Second
	// keepAlive finds connections whose other end is gone.
	keepAlive = 2 * time.Second
	// connections is how many connections, as a power of two, carry appends:
	// two let one be written to while the other is.
	connections = 1
	// buffer is what each connection reads into and writes from, and ring how
	// many calls it has under way, as a power of two: most connections only
	// wait for what comes.
	buffer = 128 << 10
	ring   = 8
)

// minVersion is the first Redis that has what the scripts use.
var minVersion = [2]int{6, 2}

// A StartError says why an engine cannot use a Redis, and what to do.
type StartError struct {
	Addresses string
	Cause     error
	Hint      string
}

func (e *StartError) Error() string {
	return fmt.Sprintf("redis at %s: %v; %s", e.Addresses, e.Cause, e.Hint)
}

func (e *Engine) connect() (rueidis.Client, error) {
	c := e.config
	o := rueidis.ClientOption{
		InitAddress: c.Addresses, Username: c.Username, Password: c.Password, TLSConfig: c.TLS,
		ClientName:         "log-service",
		DialCtxFn:          e.dial,
		Dialer:             net.Dialer{Timeout: dialTimeout, KeepAlive: keepAlive},
		ConnWriteTimeout:   callTimeout,
		ReadBufferEachConn: buffer, WriteBufferEachConn: buffer,
		RingScaleEachConn: ring,
		PipelineMultiplex: connections,
		DisableCache:      true,
		DisableRetry:      true, // a call that fails says so at once: all of them are made again where that helps
		ClientSetInfo:     rueidis.DisableClientSetInfo,
	}
	if c.MasterName != "" {
		o.Sentinel = rueidis.SentinelOption{
			MasterSet: c.MasterName, Username: c.SentinelUsername, Password: c.SentinelPassword,
			TLSConfig: c.TLS, Dialer: o.Dialer, TopologyRefreshInterval: heartbeat,
		}
	}
	client, err := rueidis.NewClient(o)
	if err != nil {
		return nil, startError(c, err)
	}
	return client, nil
}

// dial connects to a Redis, and counts it: it may be another one than answered
// before, or have restarted, and may have lost lines. What this node knows of a
// stream from before is looked at again.
func (e *Engine) dial(ctx context.Context, addr string, d *net.Dialer, c *tls.Config) (net.Conn, error) {
	defer e.dials.Add(1)
	if c != nil {
		return (&tls.Dialer{NetDialer: d, Config: c}).DialContext(ctx, "tcp", addr)
	}
	return d.DialContext(ctx, "tcp", addr)
}

// startError adds the way out to what went wrong at the start.
func startError(c Config, err error) error {
	e := &StartError{Addresses: strings.Join(c.Addresses, ", "), Cause: err}
	text := err.Error()
	var opErr *net.OpError
	var unknownAuthority x509.UnknownAuthorityError
	var recordHeader tls.RecordHeaderError
	var evicts *evictsError
	switch {
	case errors.As(err, &evicts):
		e.Hint = "set it to noeviction, in its configuration too: CONFIG SET maxmemory-policy noeviction, CONFIG REWRITE"
	case strings.Contains(text, "WRONGPASS"), strings.Contains(text, "invalid username-password"), strings.Contains(text, "invalid password"):
		e.Hint = "check the user name and the password: LOG_SERVICE_REDIS_USERNAME, LOG_SERVICE_REDIS_PASSWORD"
	case strings.Contains(text, "NOAUTH"):
		e.Hint = "it wants a password: set LOG_SERVICE_REDIS_PASSWORD"
	case strings.Contains(text, "NOPERM"), strings.Contains(text, "ACL failure in script"), strings.Contains(text, "can't run this command"), strings.Contains(text, "can't access at least one of the keys"):
		e.Hint = fmt.Sprintf("give its user the rights of a node, for example: ACL SETUSER %s on >PASSWORD ~%s* %s", orDefault(c.Username), c.Prefix, Rights)
	case strings.Contains(text, "No such master"), c.MasterName != "" && errors.Is(err, rueidis.Nil):
		e.Hint = fmt.Sprintf("the sentinels know no master of the name %q: check LOG_SERVICE_REDIS_MASTER_NAME", c.MasterName)
	case errors.As(err, &unknownAuthority):
		e.Hint = "its certificate is of an authority that this machine does not know: name it with LOG_SERVICE_REDIS_SSL_CA_CERT_PATH"
	case errors.As(err, &recordHeader), strings.Contains(text, "first record does not look like a TLS handshake"):
		e.Hint = "it does not speak TLS: leave LOG_SERVICE_REDIS_SSL_ENABLED unset"
	case errors.As(err, &opErr) && opErr.Op == "dial":
		e.Hint = "nobody answers there: check the address (LOG_SERVICE_REDIS_ENDPOINT, LOG_SERVICE_REDIS_SENTINEL_ADDRS) and that Redis runs"
	case c.TLS == nil && (strings.Contains(text, "EOF") || strings.Contains(text, "reset by peer")):
		e.Hint = "it hangs up: where it speaks TLS, set LOG_SERVICE_REDIS_SSL_ENABLED=true"
	case c.TLS != nil && errors.Is(err, context.DeadlineExceeded):
		e.Hint = "it answers nothing to TLS: where it speaks none, leave LOG_SERVICE_REDIS_SSL_ENABLED unset"
	default:
		e.Hint = "see docs/scaling.md for what a node needs of Redis"
	}
	return e
}

func orDefault(user string) string {
	if user == "" {
		return "default"
	}
	return user
}

// Rights are what the user of a node needs beside its keys; see docs/scaling.md.
// Without the last, INFO, a node starts, and finds out later what it could read.
const Rights = "+@connection +@scripting +@hash +@sortedset +@stream +@string +@keyspace +time +wait +info"

// check tries everything that the engine does with Redis, on keys of its own,
// so that what is missing is known at the start and not at the first log.
func (e *Engine) check(ctx context.Context) error {
	fail := func(err error) error { return startError(e.config, err) }
	if err := e.checkVersion(ctx); err != nil {
		return err
	}
	if err := e.checkPolicy(ctx); err != nil {
		return fail(err)
	}
	if err := e.heartbeat(ctx); err != nil {
		return fail(err)
	}
	b := newBucket(e, 0, e.buckets[0].root+"check:"+e.node+":")
	defer e.forgetCheck(b)
	start := header{kind: kindStart, lines: 1}.text()
	lines := []string{"1-0", header{kind: kindLines, lines: 1}.text(), "{}\n", "2-0", header{kind: kindLines, lines: 1}.text(), "{}\n"}
	for _, call := range []struct {
		script *script
		args   []string
	}{
		{e.scripts.open, []string{"check", "0", "g", "1000", "0", start}},
		{e.scripts.append, append([]string{"check", "0", "g"}, lines...)},
		{e.scripts.look, []string{"check", "0", "", "", e.mayInfo()}},
		{e.scripts.reconcile, []string{"", "0", "check", "g", "0", "", "3"}},
		{e.scripts.beat, []string{"", "0", e.node, "1", e.mayInfo()}},
		{e.scripts.follow, []string{"check", "0", e.node + "/check", "", ""}},
		{e.scripts.list, []string{"", "0", "-", "+", "1"}},
		{e.scripts.part, []string{"check", "0", e.node, "g", "", "1-2-check"}},
		{e.scripts.moved, []string{"check", "0", e.node, "g", "1", "2", "1-2-check", "67", ""}},
		{e.scripts.close, []string{"check", "0", e.node, encodeHow(logs.Closing{}), "g", "5"}},
		{e.scripts.due, []string{"", "1", "1", "1", e.mayInfo()}},
		{e.scripts.claim, []string{"check", "0", e.node, "", "1"}},
		{e.scripts.held, []string{"check", "0", e.node, "g", "0"}},
		{e.scripts.delete, []string{"check", "0", "g", e.node}},
		{e.scripts.subscribers, []string{"check", "0", e.node + "/check", "g", "0"}},
		{e.scripts.bury, []string{"check", "0", "g", "2"}},
		{e.scripts.kept, []string{"", "0", "check"}},
	} {
		if _, err := e.call(ctx, call.script, b.root, call.args...); err != nil {
			return fail(err)
		}
	}
	if err := e.checkFrequencies(ctx, b); err != nil {
		return fail(err)
	}
	c := e.client
	for _, r := range c.DoMulti(ctx,
		c.B().Xread().Count(1).Block(1).Streams().Key(b.wakeKey()).Id("0-0").Build(),
		c.B().Xadd().Key(b.wakeKey()).Nomkstream().Id("1-0").FieldValue().FieldValue("w", "").Build(),
		c.B().Xrange().Key(b.wakeKey()).Start("-").End("+").Count(1).Build(),
		c.B().Xrevrange().Key(b.wakeKey()).End("+").Start("-").Count(1).Build(),
		c.B().Xdel().Key(b.wakeKey()).Id("1-0").Build(),
		c.B().Zrevrangebyscore().Key(b.key("p", "g", "check")).Max("1").Min("-inf").Limit(0, 1).Build(),
		c.B().Hdel().Key(b.key("q", "g", "check")).Field("1-2-check").Build(),
	) {
		if err := r.Error(); err != nil && !rueidis.IsRedisNil(err) {
			return fail(err)
		}
	}
	e.running = ctx // for the wake-up alone; Open sets it
	if err := b.sendWake(1); err != nil {
		return fail(err)
	}
	if err := c.Do(ctx, c.B().Del().Key(b.wakeKey()).Build()).Error(); err != nil {
		return fail(err)
	}
	return e.checkReplicas(ctx)
}

// forgetCheck removes what a check that failed halfway leaves: a server may be
// started again and again without a right.
func (e *Engine) forgetCheck(b *bucket) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	keys := []string{b.root + "beat:" + e.node}
	for _, name := range []string{"s:check", "names", "due", "dead", "process", "canary"} {
		keys = append(keys, b.root+name)
	}
	for _, kind := range []string{"d", "p", "q", "f"} {
		keys = append(keys, b.key(kind, "g", "check"))
	}
	_ = e.client.Do(ctx, e.client.B().Del().Key(keys...).Build()).Error() // the check tells what is wrong
}

func (e *Engine) checkVersion(ctx context.Context) error {
	// With the version of the protocol that is spoken anyway: 6.0 wants one.
	hello, err := e.client.Do(ctx, e.client.B().Arbitrary("HELLO", "3").Build()).AsStrMap()
	if err, ok := rueidis.IsRedisErr(err); ok && strings.Contains(err.Error(), "unknown command") {
		return e.tooOld("older than 6.0")
	}
	if err != nil {
		return startError(e.config, err)
	}
	version := hello["version"]
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(major)
	m, err2 := strconv.Atoi(minor)
	if err != nil || err2 != nil {
		e.log.Warn("Redis reports a version that is not a number", "version", version)
		return nil
	}
	if n < minVersion[0] || n == minVersion[0] && m < minVersion[1] {
		return e.tooOld("of version " + version)
	}
	e.log.Info("streams are in Redis", slog.String("version", version), slog.String("mode", hello["mode"]), slog.String("node", e.node))
	return nil
}

func (e *Engine) tooOld(what string) error {
	return &StartError{
		Addresses: strings.Join(e.config.Addresses, ", "), Cause: errors.New("it is " + what),
		Hint: fmt.Sprintf("a node needs %d.%d or later", minVersion[0], minVersion[1]),
	}
}

// checkReplicas warns where appends would wait for replicas that are not there.
// WAIT names no key, so it is the command before it that leads to a master.
func (e *Engine) checkReplicas(ctx context.Context) error {
	want := int64(e.config.Replicas)
	if want == 0 {
		return nil
	}
	var n int64
	err := e.client.Dedicated(func(c rueidis.DedicatedClient) error {
		err := c.Do(ctx, c.B().Exists().Key(e.buckets[0].root).Build()).Error()
		if err == nil {
			n, err = c.Do(ctx, c.B().Wait().Numreplicas(want).Timeout(time.Second.Milliseconds()).Build()).AsInt64()
		}
		return err
	})
	if err != nil {
		return startError(e.config, err)
	}
	if n < want {
		e.log.Warn("Redis has fewer replicas than appends wait for: appends are refused until it has enough", "want", want, "have", n)
	}
	return nil
}
