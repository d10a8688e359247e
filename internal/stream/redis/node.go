package redis

import (
	"log/slog"

	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/batches"
)

// node is what all parts of an engine share.
type node struct {
	log     *slog.Logger
	redis   *client
	members *members
	policy  *policy
	marks   *marks
	memory  *batches.Memory
	recent  *batches.RecentBudget // of the appends that tails remember
	store   logs.Store            // takes the older lines
	codec   *archive.Codec
	work    *work
}

// id names this run of this node; no two are alike.
func (n *node) id() string { return n.members.self }
