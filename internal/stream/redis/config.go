package redis

import (
	"crypto/tls"
	"log/slog"
	"os"
	"time"

	"github.com/harness/log-service/internal/logs"
)

// Defaults of a Config.
const (
	DefaultPrefix       = "log-service:"
	DefaultStreamMemory = 4 << 20
	DefaultMemory       = 256 << 20
)

// heartbeat is how often a node reports that it is alive.
const heartbeat = 2 * time.Second

// Config of an Engine. Addresses and Store are required.
type Config struct {
	// Addresses are host:port of the Redis; of some masters of a Cluster; or
	// of the sentinels, where MasterName is set.
	Addresses  []string
	MasterName string

	Username, Password string // of Redis; empty: the default user
	// SentinelUsername and SentinelPassword are of the sentinels.
	SentinelUsername, SentinelPassword string
	TLS                                *tls.Config // nil: no TLS

	// Prefix begins every key; it holds no braces. Servers that share it are
	// nodes of one service.
	Prefix string
	// StreamMemory is how many bytes of a stream are held in Redis before its
	// older lines move to the blob store.
	StreamMemory int64
	// Replicas is how many replicas must have an append before it is
	// acknowledged.
	Replicas int

	// Memory bounds the bytes of lines held in this node's memory.
	Memory int64
	// Node names this node for people; empty is the name of the machine.
	Node string
	// Dir is where this node keeps how far it saw logs get, for a Redis that
	// has lost lines when the node starts again. Empty: in memory only.
	Dir string
	// Store takes the older lines of long logs. It is that of all nodes.
	Store  logs.Store
	Logger *slog.Logger // nil: slog.Default
}

func (c *Config) setDefaults() {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Prefix == "" {
		c.Prefix = DefaultPrefix
	}
	if c.StreamMemory <= 0 {
		c.StreamMemory = DefaultStreamMemory
	}
	if c.Memory <= 0 {
		c.Memory = DefaultMemory
	}
	if c.Node == "" {
		c.Node, _ = os.Hostname() // for people only
	}
}
