package redis

import (
	"log/slog"

	"github.com/harness/log-service/internal/archive"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream/batches"
)

// node is shared by all parts of an engine.
type node struct {
	log     *slog.Logger
	redis   *client
	members *members
	policy  *policy
	marks   *marks
	memory  *batches.Memory
	recent  *batches.RecentBudget // of the appends that tails remember
	store   logs.Store            // for the older lines
	codec   *archive.Codec
	work    *work
}

// id identifies this run of this node uniquely.
func (n *node) id() string { return n.members.self }
