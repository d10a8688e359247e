package config

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// MinStreamMemory leaves space for a few typical batches.
const MinStreamMemory = 256 << 10

// MaxReplicas limits the replicas that an append waits for.
const MaxReplicas = 10

// Redis configures live streams that several servers share. It is enabled by
// Endpoint or UseSentinel.
type Redis struct {
	// Endpoint is host:port of Redis, or of some masters of a Cluster.
	Endpoint []string // LOG_SERVICE_REDIS_ENDPOINT
	// Username and Password authenticate to Redis; without a name they are for
	// the default user.
	Username string // LOG_SERVICE_REDIS_USERNAME
	Password Secret // LOG_SERVICE_REDIS_PASSWORD

	// SSL enables TLS, for sentinels too. CACert is a PEM file of authorities to
	// trust in addition to the system's.
	SSL    bool   // LOG_SERVICE_REDIS_SSL_ENABLED
	CACert string // LOG_SERVICE_REDIS_SSL_CA_CERT_PATH

	// UseSentinel gets the address of the master MasterName from the sentinels
	// at SentinelAddrs.
	UseSentinel      bool     // LOG_SERVICE_REDIS_USE_SENTINEL
	MasterName       string   // LOG_SERVICE_REDIS_MASTER_NAME
	SentinelAddrs    []string // LOG_SERVICE_REDIS_SENTINEL_ADDRS
	SentinelUsername string   // LOG_SERVICE_REDIS_SENTINEL_USERNAME
	SentinelPassword Secret   // LOG_SERVICE_REDIS_SENTINEL_PASSWORD

	// Prefix is prepended to every key. Servers with the same prefix form one
	// service.
	Prefix string // LOG_SERVICE_REDIS_PREFIX
	// StreamMemory is approximately how many bytes of one stream are kept in
	// Redis; older lines are moved to the blob store.
	StreamMemory int64 // LOG_SERVICE_REDIS_STREAM_MEMORY
	// Replicas is how many replicas must have received lines before they are
	// acknowledged.
	Replicas int // LOG_SERVICE_REDIS_REPLICAS
	// Node is the name of this server, shown to the other servers; by default
	// the host name.
	Node string // LOG_SERVICE_NODE
}

// On reports whether live streams are in Redis.
func (r *Redis) On() bool { return len(r.Endpoint) > 0 || r.UseSentinel }

// Addresses returns the addresses to connect to first.
func (r *Redis) Addresses() []string {
	if r.UseSentinel {
		return r.SentinelAddrs
	}
	return r.Endpoint
}

func redisSettings() []setting {
	return []setting{
		{"REDIS_ENDPOINT", addresses(func(c *Config) *[]string { return &c.Redis.Endpoint })},
		{"REDIS_USERNAME", text(func(c *Config) *string { return &c.Redis.Username })},
		{"REDIS_PASSWORD", secret(func(c *Config) *Secret { return &c.Redis.Password })},
		{"REDIS_SSL_ENABLED", boolean(func(c *Config) *bool { return &c.Redis.SSL })},
		{"REDIS_SSL_CA_CERT_PATH", text(func(c *Config) *string { return &c.Redis.CACert })},
		{"REDIS_USE_SENTINEL", boolean(func(c *Config) *bool { return &c.Redis.UseSentinel })},
		{"REDIS_MASTER_NAME", text(func(c *Config) *string { return &c.Redis.MasterName })},
		{"REDIS_SENTINEL_ADDRS", addresses(func(c *Config) *[]string { return &c.Redis.SentinelAddrs })},
		{"REDIS_SENTINEL_USERNAME", text(func(c *Config) *string { return &c.Redis.SentinelUsername })},
		{"REDIS_SENTINEL_PASSWORD", secret(func(c *Config) *Secret { return &c.Redis.SentinelPassword })},
		{"REDIS_PREFIX", setRedisPrefix},
		{"REDIS_STREAM_MEMORY", size(func(c *Config) *int64 { return &c.Redis.StreamMemory }, MinStreamMemory, 1<<30)},
		{"REDIS_REPLICAS", setReplicas},
		{"NODE", setNode},
	}
}

// addresses parses host:port, or several separated by commas. A scheme is ignored:
// other settings say whether to use TLS.
func addresses(field func(*Config) *[]string) func(*Config, string) error {
	return func(c *Config, v string) error {
		for part := range strings.SplitSeq(v, ",") {
			addr := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(part), "redis://"), "/")
			host, port, err := net.SplitHostPort(addr)
			if err != nil || host == "" || port == "" || strings.ContainsAny(addr, "@/? ") {
				return fmt.Errorf("%q is not host:port, for example 127.0.0.1:6379; several are separated by commas", part)
			}
			*field(c) = append(*field(c), addr)
		}
		return nil
	}
}

func setRedisPrefix(c *Config, v string) error {
	if strings.ContainsAny(v, "{}*?[] \t\\") || len(v) > 100 {
		return errors.New("want at most 100 characters without braces, brackets, spaces, * and ?")
	}
	c.Redis.Prefix = v
	return nil
}

func setNode(c *Config, v string) error {
	if strings.ContainsAny(v, "/#") || len(v) > 100 {
		return errors.New("want a name of at most 100 characters without / and #")
	}
	c.Redis.Node = v
	return nil
}

func setReplicas(c *Config, v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > MaxReplicas {
		return fmt.Errorf("want a number from 0 to %d", MaxReplicas)
	}
	c.Redis.Replicas = n
	return nil
}

// validateRedis checks rules that involve several Redis settings.
func (c *Config) validateRedis() error {
	r := &c.Redis
	switch {
	case c.Stream == StreamRedis && !r.On():
		return &Error{
			Name: Prefix + "STREAM", Value: c.Stream, Rule: "no Redis is named",
			Hint: "set LOG_SERVICE_REDIS_ENDPOINT, or LOG_SERVICE_REDIS_USE_SENTINEL=true and the settings of Sentinel",
		}
	case c.Stream != StreamRedis && r.On():
		return &Error{
			Name: Prefix + "STREAM", Value: c.Stream, Rule: "a Redis is named, and this keeps live streams elsewhere",
			Hint: "leave one of LOG_SERVICE_STREAM and LOG_SERVICE_REDIS_ENDPOINT unset",
		}
	case !r.On() && (r.Username != "" || r.Password != "" || r.SSL || len(r.SentinelAddrs) > 0 || r.MasterName != "" ||
		r.SentinelUsername != "" || r.SentinelPassword != "" || r.Replicas > 0):
		return &Error{
			Name: Prefix + "REDIS_ENDPOINT", Rule: "other Redis settings have no effect without its address",
			Hint: "set it to host:port, or set LOG_SERVICE_REDIS_USE_SENTINEL=true, or leave the others unset",
		}
	case r.UseSentinel && (r.MasterName == "" || len(r.SentinelAddrs) == 0):
		return &Error{
			Name: Prefix + "REDIS_USE_SENTINEL", Value: "true", Rule: "the sentinels or the name of their master are missing",
			Hint: "set LOG_SERVICE_REDIS_SENTINEL_ADDRS and LOG_SERVICE_REDIS_MASTER_NAME, too",
		}
	case !r.UseSentinel && (r.MasterName != "" || len(r.SentinelAddrs) > 0):
		return &Error{
			Name: Prefix + "REDIS_USE_SENTINEL", Value: "false", Rule: "Sentinel settings have no effect without it",
			Hint: "set LOG_SERVICE_REDIS_USE_SENTINEL=true, or leave the others unset",
		}
	case r.CACert != "" && !r.SSL:
		return &Error{
			Name: Prefix + "REDIS_SSL_CA_CERT_PATH", Value: r.CACert, Rule: "a certificate has no effect without TLS",
			Hint: "set LOG_SERVICE_REDIS_SSL_ENABLED=true, too",
		}
	}
	return nil
}
