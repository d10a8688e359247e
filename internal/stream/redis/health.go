package redis

import (
	"context"
	"strings"

	"github.com/redis/rueidis"

	logservice "github.com/harness/log-service"
)

// check reports whether Redis works: it sends a heartbeat, and an append that
// adds nothing but is rejected whenever a real one would be.
func (n *node) check(ctx context.Context) error {
	err := n.members.heartbeat(ctx)
	if err == nil {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		b := n.redis.B().Xadd().Key(n.members.root+"none").Nomkstream().Id("*").FieldValue().FieldValue("", "").Build()
		if err = n.redis.Do(ctx, b).Error(); rueidis.IsRedisNil(err) {
			err = nil
		}
	}
	if err == nil {
		err = n.policy.err()
	}
	if err != nil {
		n.log.Debug("Redis is not available", "error", err)
		return logservice.Errorf(logservice.ErrUnavailable, "%s", state(err.Error()))
	}
	return nil
}

// state describes an error of Redis without addresses.
func state(err string) string {
	for _, s := range []struct{ mark, means string }{
		{"LOADING", "Redis is loading its data"},
		{"READONLY", "Redis is a replica: no master has taken over yet"},
		{"MASTERDOWN", "Redis has lost its master"},
		{"CLUSTERDOWN", "the Redis Cluster is down"},
		{"TRYAGAIN", "the Redis Cluster is moving streams"},
		{"OOM", "Redis is full"},
		{"MISCONF", "Redis cannot write its files"},
		{errEvicts.Error(), "Redis evicts live logs when it is full: its maxmemory-policy must be noeviction"},
		{"NOAUTH", "Redis wants a password"},
		{"WRONGPASS", "Redis refuses the password"},
		{"NOPERM", "Redis refuses a command to its user"},
		{"no answer", "Redis does not answer"},
		{"deadline", "Redis does not answer"},
	} {
		if strings.Contains(err, s.mark) {
			return s.means
		}
	}
	return "Redis cannot be reached"
}
