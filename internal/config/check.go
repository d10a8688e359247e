package config

import (
	"fmt"

	"github.com/harness/log-service/internal/setting"
)

// invalid returns an error about a setting, named without the prefix.
func invalid(name, value, rule, hint string) error {
	return &setting.Error{Name: setting.Prefix + name, Value: value, Rule: rule, Hint: hint}
}

// Validate checks rules that involve several settings. The error is a *setting.Error.
func (c *Config) Validate() error {
	for _, check := range []func() error{c.checkAccess, c.checkTLS, c.checkStream, c.Redis.Check, c.checkRest} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// checkAccess keeps a server from being open to others by accident.
func (c *Config) checkAccess() error {
	if !c.DisableAuth {
		if err := c.Auth.Check(); err != nil {
			return err
		}
	}
	if name, value := c.reachable(); name != "" && !c.DisableAuth && !c.AuthOn() {
		return invalid(name, value, "other machines can reach this address, and no authentication is configured",
			"set LOG_SERVICE_SECRET (create one with openssl rand -base64 32), or listen on 127.0.0.1, or set LOG_SERVICE_DISABLE_AUTH=true to let anyone who can reach the server read and write every log")
	}
	if c.AdminBind != "" && !loopback(c.AdminBind) {
		return invalid("ADMIN_BIND", c.AdminBind, "this listener asks nobody for a token: want a loopback address, for example 127.0.0.1:8077", "")
	}
	return nil
}

func (c *Config) checkTLS() error {
	needs := func(name, value, other string) error {
		return invalid(name, value, "has no effect alone: also set "+setting.Prefix+other, "")
	}
	switch {
	case c.TLSCert != "" && c.TLSKey == "":
		return needs("TLS_CERT", c.TLSCert, "TLS_KEY")
	case c.TLSKey != "" && c.TLSCert == "":
		return needs("TLS_KEY", c.TLSKey, "TLS_CERT")
	case c.TLSClientCA != "" && c.TLSCert == "":
		return needs("TLS_CLIENT_CA", c.TLSClientCA, "TLS_CERT")
	}
	return nil
}

func (c *Config) checkStream() error {
	switch {
	case c.Stream == StreamRedis && !c.Redis.On():
		return invalid("STREAM", c.Stream, "no Redis is named",
			"set LOG_SERVICE_REDIS_ENDPOINT, or LOG_SERVICE_REDIS_USE_SENTINEL=true and the settings of Sentinel")
	case c.Stream != StreamRedis && c.Redis.On():
		return invalid("STREAM", c.Stream, "a Redis is named, and this keeps live streams elsewhere",
			"leave one of LOG_SERVICE_STREAM and LOG_SERVICE_REDIS_ENDPOINT unset")
	}
	return nil
}

func (c *Config) checkRest() error {
	switch {
	case c.Proto != "http" && c.Host == "" && c.TLSCert == "":
		return invalid("HTTP_PROTO", c.Proto, "the scheme of links has no effect without their host: also set LOG_SERVICE_HTTP_HOST", "")
	case c.Public.BaseURL != "" && c.Host != "":
		return invalid("HTTP_HOST", c.Host, "links have the address in LOG_SERVICE_BASE_URL", "leave one of the two unset")
	case c.Retention > 0 && c.S3.Bucket != "":
		return invalid("RETENTION", c.Retention.String(), "in a bucket, how long logs are kept is a lifecycle rule of the bucket",
			"leave it unset and make the rule, see docs/storage.md")
	case c.ArchiveCompression == CompressNone && c.S3.Bucket == "":
		return invalid("ARCHIVE_COMPRESSION", c.ArchiveCompression, "the embedded store always compresses",
			"leave it unset: logs are read as JSON lines all the same")
	case c.MaxLine > c.MaxBody:
		return invalid("MAX_LINE", setting.FormatSize(c.MaxLine),
			fmt.Sprintf("a line is part of a body, and %sMAX_BODY is %s", setting.Prefix, setting.FormatSize(c.MaxBody)), "")
	}
	return nil
}
