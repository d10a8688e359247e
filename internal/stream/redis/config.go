package redis

import (
	"crypto/tls"
	"log/slog"
	"os"
	"time"

	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/setting"
)

// Defaults of a Config.
const (
	DefaultPrefix       = "log-service:"
	DefaultStreamMemory = 4 << 20
	DefaultMemory       = 256 << 20
)

// heartbeat is how often a node reports that it is alive.
const heartbeat = 2 * time.Second

// Config of an Engine. Addresses and Store are required. The method Settings
// documents the fields that are settings.
type Config struct {
	Addresses         []string // of the sentinels, if MasterName is set and there are no SentinelAddresses
	Username          string
	Password          setting.Secret
	SSL               bool
	CACert            string
	UseSentinel       bool
	MasterName        string
	SentinelAddresses []string
	SentinelUsername  string
	SentinelPassword  setting.Secret
	Prefix            string
	StreamMemory      int64
	Replicas          int
	Node              string

	// TLS is by default made from SSL and CACert; nil: no TLS.
	TLS *tls.Config
	// Memory bounds the bytes of lines held in this node's memory.
	Memory int64
	// Dir is where this node stores how far it saw logs advance, in case Redis
	// has lost lines when the node starts again. Empty: in memory only.
	Dir string
	// Store is where the older lines of long logs go, the same for all nodes.
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
		c.Node, _ = os.Hostname() // only shown to people
	}
}
