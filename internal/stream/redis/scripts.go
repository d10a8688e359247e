package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by it
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	logservice "github.com/harness/log-service"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// scripts are what changes and reads streams atomically.
type scripts struct {
	open, append, close, claim, held, delete, due, list           *script
	look, follow, subscribers, part, moved, bury, kept, heartbeat *script
	beat, reconcile                                               *script
}

func loadScripts() (*scripts, error) {
	prelude, err := luaFiles.ReadFile("lua/prelude.lua")
	if err != nil {
		return nil, err
	}
	s := &scripts{}
	for name, to := range map[string]**script{
		"open": &s.open, "append": &s.append, "close": &s.close, "claim": &s.claim, "held": &s.held,
		"delete": &s.delete, "due": &s.due, "list": &s.list, "follow": &s.follow, "subscribers": &s.subscribers,
		"look": &s.look, "part": &s.part, "moved": &s.moved, "bury": &s.bury, "kept": &s.kept, "heartbeat": &s.heartbeat,
		"beat": &s.beat, "reconcile": &s.reconcile,
	} {
		body, err := luaFiles.ReadFile("lua/" + name + ".lua")
		if err != nil {
			return nil, err
		}
		*to = newScript(string(prelude) + string(body))
	}
	return s, nil
}

// script is one script, named by its checksum once Redis knows it.
type script struct{ text, sum string }

func newScript(text string) *script {
	sum := sha1.Sum([]byte(text)) //nolint:gosec // the name that Redis gives it
	return &script{text, hex.EncodeToString(sum[:])}
}

// runner is a client, or one connection of it.
type runner interface {
	B() rueidis.Builder
	Do(ctx context.Context, cmd rueidis.Completed) rueidis.RedisResult
}

// run runs the script on the bucket of root. A Redis that does not know it (it
// has restarted, or took over) did nothing, and is given the text. It names two
// keys that never exist: while a Cluster moves their slot, and the stream's keys
// are here or there, the script is then refused (TRYAGAIN) wherever it comes.
func (s *script) run(ctx context.Context, on runner, root string, args []string) rueidis.RedisResult {
	r := on.Do(ctx, on.B().Evalsha().Sha1(s.sum).Numkeys(2).Key(root, root+"-").Arg(args...).Build())
	if err, ok := rueidis.IsRedisErr(r.Error()); ok && err.IsNoScript() {
		r = on.Do(ctx, on.B().Eval().Script(s.text).Numkeys(2).Key(root, root+"-").Arg(args...).Build())
	}
	return r
}

// callTimeout bounds one call of Redis: longer than a fail-over inside one
// machine room's quiet moment, shorter than the patience of clients.
const callTimeout = 5 * time.Second

// call runs a script on the bucket of root and returns its answer. Errors are
// ErrUnavailable: what the call has done is then unknown.
func (e *Engine) call(ctx context.Context, s *script, root string, args ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	return e.measured(ctx, s, e.client, root, args)
}

// measured runs a script and returns its answer.
func (e *Engine) measured(ctx context.Context, s *script, on runner, root string, args []string) (answer, error) {
	began := time.Now()
	a, err := s.run(ctx, on, root, args).ToArray()
	e.metrics.seconds.Observe(time.Since(began).Seconds())
	if err != nil {
		e.metrics.failures.Inc()
		return nil, e.unavailable(err)
	}
	return a, nil
}

// unavailable says that Redis cannot do something now.
func (e *Engine) unavailable(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v", callTimeout)
	}
	if errors.Is(err, rueidis.ErrClosing) {
		err = errors.New("the server is stopping")
	}
	// Not wrapped: the io.EOF of a connection is not the end of a log.
	return &logservice.UnavailableError{Cause: fmt.Errorf("redis: %v", err)}
}

// isWrongType reports whether another program uses a key of ours.
func isWrongType(err error) bool {
	return err != nil && strings.Contains(err.Error(), "WRONGTYPE")
}

// answer is the array that a script returned. What is not as expected reads
// as zero: scripts and readers are of one version.
type answer []rueidis.RedisMessage

func (a answer) int(i int) int64 {
	if i >= len(a) {
		return 0
	}
	n, err := a[i].AsInt64()
	if err != nil { // a number that Redis keeps as text
		s, _ := a[i].ToString()
		n, _ = strconv.ParseInt(s, 10, 64)
	}
	return n
}

func (a answer) text(i int) string {
	if i >= len(a) {
		return ""
	}
	s, _ := a[i].ToString()
	return s
}

// has reports whether the i-th member is there and has a value.
func (a answer) has(i int) bool { return i < len(a) && !a[i].IsNil() }

func (a answer) list(i int) answer {
	if i >= len(a) {
		return nil
	}
	l, _ := a[i].ToArray()
	return l
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
