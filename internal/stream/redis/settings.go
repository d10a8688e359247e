package redis

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/harness/log-service/internal/roots"
	"github.com/harness/log-service/internal/setting"
)

const (
	// MinStreamMemory leaves space for a few typical batches.
	MinStreamMemory = 256 << 10
	maxStreamMemory = 1 << 30
	// maxReplicas limits the replicas that an append waits for.
	maxReplicas = 10
)

// On reports whether the settings name a Redis.
func (c *Config) On() bool { return len(c.Addresses) > 0 || c.UseSentinel }

// Settings returns the settings of c.
func (c *Config) Settings() []*setting.Setting {
	return []*setting.Setting{
		addresses(&c.Addresses, "REDIS_ENDPOINT",
			"Address of Redis, `host:port`; for a Cluster, some of its masters, separated by commas. Redis 6.2 or later"),
		setting.Text(&c.Username, "REDIS_USERNAME",
			"Redis user; [scaling.md](scaling.md#permissions) lists the permissions it needs").Unset("the default user"),
		setting.Text(&c.Password, "REDIS_PASSWORD", "Its password"),
		setting.Bool(&c.SSL, "REDIS_SSL_ENABLED", "Use TLS for Redis and for the sentinels"),
		setting.Text(&c.CACert, "REDIS_SSL_CA_CERT_PATH", "PEM file of certificate authorities to trust in addition to the system's"),
		setting.Bool(&c.UseSentinel, "REDIS_USE_SENTINEL", "Find the master through Sentinel"),
		setting.Text(&c.MasterName, "REDIS_MASTER_NAME", "Name of the master in Sentinel"),
		addresses(&c.SentinelAddresses, "REDIS_SENTINEL_ADDRS", "Addresses of the sentinels, `host:port`, separated by commas"),
		setting.Text(&c.SentinelUsername, "REDIS_SENTINEL_USERNAME", "Sentinel user").Unset("the default user"),
		setting.Text(&c.SentinelPassword, "REDIS_SENTINEL_PASSWORD", "Its password"),
		setting.Func("REDIS_PREFIX", "Prefix of every key. Servers with the same prefix form one service", c.parsePrefix).Default(DefaultPrefix),
		setting.Size(&c.StreamMemory, "REDIS_STREAM_MEMORY",
			"Approximate size of the part of one live log that is kept in Redis; older lines are offloaded to the blob store. `256KiB` to `1GiB`. "+
				"See [scaling.md](scaling.md#sizing)",
			MinStreamMemory, maxStreamMemory).Default(setting.FormatSize(DefaultStreamMemory)),
		setting.Func("REDIS_REPLICAS",
			"Number of replicas that must have lines before they are acknowledged. With 1, a failover loses no acknowledged lines", c.parseReplicas).Default("0"),
		setting.Func("NODE", "Name of this server in `info`", c.parseNode).Unset("name of the machine"),
	}
}

// addresses is a setting of host:port, several separated by commas. A scheme is
// ignored: other settings say whether to use TLS.
func addresses(p *[]string, name, meaning string) *setting.Setting {
	return setting.Func(name, meaning, func(v string) error {
		*p = nil
		for part := range strings.SplitSeq(v, ",") {
			addr := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(part), "redis://"), "/")
			host, port, err := net.SplitHostPort(addr)
			if err != nil || host == "" || port == "" || strings.ContainsAny(addr, "@/? ") {
				return fmt.Errorf("%q is not host:port, for example 127.0.0.1:6379; several are separated by commas", setting.Redacted(part))
			}
			*p = append(*p, addr)
		}
		return nil
	})
}

func (c *Config) parsePrefix(v string) error {
	if strings.ContainsAny(v, "{}*?[] \t\\") || len(v) > 100 {
		return errors.New("want at most 100 characters without braces, brackets, spaces, * and ?")
	}
	c.Prefix = v
	return nil
}

func (c *Config) parseNode(v string) error {
	if strings.ContainsAny(v, "/#") || len(v) > 100 {
		return errors.New("want a name of at most 100 characters without / and #")
	}
	c.Node = v
	return nil
}

func (c *Config) parseReplicas(v string) error {
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > maxReplicas {
		return fmt.Errorf("want a number from 0 to %d", maxReplicas)
	}
	c.Replicas = n
	return nil
}

// Check returns an error, a *setting.Error, if settings contradict each other.
func (c *Config) Check() error {
	switch {
	case !c.On() && (c.Username != "" || c.Password != "" || c.SSL || len(c.SentinelAddresses) > 0 || c.MasterName != "" ||
		c.SentinelUsername != "" || c.SentinelPassword != "" || c.Replicas > 0):
		return &setting.Error{
			Name: setting.Prefix + "REDIS_ENDPOINT", Rule: "other Redis settings have no effect without its address",
			Hint: "set it to host:port, or set LOG_SERVICE_REDIS_USE_SENTINEL=true, or leave the others unset",
		}
	case c.UseSentinel && (c.MasterName == "" || len(c.SentinelAddresses) == 0):
		return &setting.Error{
			Name: setting.Prefix + "REDIS_USE_SENTINEL", Value: "true", Rule: "the sentinels or the name of their master are missing",
			Hint: "set LOG_SERVICE_REDIS_SENTINEL_ADDRS and LOG_SERVICE_REDIS_MASTER_NAME, too",
		}
	case !c.UseSentinel && (c.MasterName != "" || len(c.SentinelAddresses) > 0):
		return &setting.Error{
			Name: setting.Prefix + "REDIS_USE_SENTINEL", Value: "false", Rule: "Sentinel settings have no effect without it",
			Hint: "set LOG_SERVICE_REDIS_USE_SENTINEL=true, or leave the others unset",
		}
	case c.CACert != "" && !c.SSL:
		return &setting.Error{
			Name: setting.Prefix + "REDIS_SSL_CA_CERT_PATH", Value: c.CACert, Rule: "a certificate has no effect without TLS",
			Hint: "set LOG_SERVICE_REDIS_SSL_ENABLED=true, too",
		}
	}
	return nil
}

// connection derives the options of connections from the settings.
func (c *Config) connection() (err error) {
	if c.UseSentinel {
		c.Addresses = c.SentinelAddresses
	}
	if !c.SSL || c.TLS != nil {
		return nil
	}
	c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	if c.CACert == "" {
		return nil
	}
	if c.TLS.RootCAs, err = roots.With(c.CACert); err != nil {
		return fmt.Errorf("LOG_SERVICE_REDIS_SSL_CA_CERT_PATH: %w", err)
	}
	return nil
}
