// Package config reads all settings of the server from the environment, and checks
// that they fit together.
//
// Settings are environment variables with the prefix LOG_SERVICE_. A package that
// has settings of its own declares them beside its configuration; those of the
// server as a whole are declared here. An invalid value, or a setting that this
// version does not support, stops the server at startup: no setting is ignored
// silently.
package config

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/harness/log-service/internal/api/http/public"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/setting"
	"github.com/harness/log-service/internal/store/s3"
	"github.com/harness/log-service/internal/stream/redis"
)

// Config holds every setting of a server; Groups says what each means. Create one
// with Default or Load.
type Config struct {
	Bind, AdminBind, GRPCBind    string
	MaxConnections               int64
	TLSCert, TLSKey, TLSClientCA string
	StopDelay                    time.Duration
	Proto, Host                  string // of links
	Public                       public.Config

	Debug, Trace bool

	Auth        auth.Config
	DisableAuth bool

	Data               string
	BoltPath           string
	S3                 s3.Config
	ArchiveCompression string // CompressNone, CompressZstd, or empty
	Retention          time.Duration
	Stream             string // StreamDisk, StreamMemory or StreamRedis
	Redis              redis.Config

	Memory, MaxLine, MaxBody, MaxUpload int64

	// Limits per account; zero means none.
	AccountStreams, AccountTails, AccountRate, AccountStored int64
}

// Group is the settings of one part of the server.
type Group struct {
	Title    string // of its section in docs/configuration.md
	Settings []*setting.Setting
}

// Groups returns every setting, in the order of docs/configuration.md.
func (c *Config) Groups() []Group {
	return []Group{
		{"Listeners", append(c.listeners(), c.Public.Settings()...)},
		{"Authentication", append(c.Auth.Settings(), c.disableAuth())},
		{"Storage", c.storage()},
		{"Bucket", append(c.S3.Settings(), c.archiveCompression())},
		{"Several servers", c.Redis.Settings()},
		{"Limits", c.limits()},
		{"Limits per account", c.accountLimits()},
		{"Logging", c.logging()},
	}
}

// AuthOn reports whether requests need a token.
func (c *Config) AuthOn() bool { return !c.DisableAuth && c.Auth.On() }

// Default returns the settings of an unconfigured server: reachable only from
// this machine, and durable.
func Default() Config {
	c, _, err := Load(nil)
	if err != nil {
		panic(err) // a default breaks its own rule
	}
	return c
}

// Load creates a Config from env; an empty variable counts as unset. The warnings
// name variables that look like settings but are not. The error is a
// *setting.Error, or several joined.
func Load(env setting.Env) (c Config, warnings []string, err error) {
	var errs []error
	for _, g := range c.Groups() {
		errs = append(errs, env.Load(g.Settings)...)
	}
	c.derive(env)
	if len(errs) == 0 {
		errs = c.S3.Complete(env)
	}
	if len(errs) == 0 {
		if err := c.Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	warnings = unknown(env)
	if c.S3.Bucket != "" && env[setting.Prefix+"BOLT_PATH"] != "" {
		warnings = append(warnings, setting.Prefix+"BOLT_PATH has no effect: finished logs are kept in the bucket")
	}
	return c, warnings, errors.Join(errs...)
}

// derive sets what depends on other settings unless env says otherwise.
func (c *Config) derive(env setting.Env) {
	unset := func(name string) bool { return env[setting.Prefix+name] == "" }
	if unset("BOLT_PATH") {
		c.BoltPath = filepath.Join(c.Data, "blobs.db")
	}
	if unset("HTTP_BIND") && c.AuthOn() {
		c.Bind = authBind
	}
	if unset("HTTP_PROTO") && c.TLSCert != "" {
		c.Proto = "https"
	}
	if unset("STREAM") && c.Redis.On() {
		c.Stream = StreamRedis
	}
}
