package redis

import (
	"context"
	"crypto/sha1" //nolint:gosec // Redis names scripts by it
	"embed"
	"encoding/hex"

	"github.com/redis/rueidis"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// scripts change and read streams atomically.
type scripts struct {
	open, append, close, claim, held, delete, due, list *script
	refresh, headers, follow, subscribers, reap, touch  *script
	offload, offloaded, release                         *script
	heartbeat, beat, reconcile                          *script
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
		"refresh": &s.refresh, "headers": &s.headers, "offload": &s.offload, "offloaded": &s.offloaded, "release": &s.release, "reap": &s.reap, "touch": &s.touch, "heartbeat": &s.heartbeat,
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
// has restarted, or is a new master) does nothing, and then gets the text. It
// names two keys that never exist: while a Cluster moves their slot, when the
// stream's keys may be on either master, the script is rejected by both
// (TRYAGAIN).
func (s *script) run(ctx context.Context, on runner, root string, args []string) rueidis.RedisResult {
	r := on.Do(ctx, on.B().Evalsha().Sha1(s.sum).Numkeys(2).Key(root, root+"-").Arg(args...).Build())
	if err, ok := rueidis.IsRedisErr(r.Error()); ok && err.IsNoScript() {
		r = on.Do(ctx, on.B().Eval().Script(s.text).Numkeys(2).Key(root, root+"-").Arg(args...).Build())
	}
	return r
}
