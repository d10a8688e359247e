package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/harness/log-service/internal/auth"
)

// Prefix is the prefix of every setting.
const Prefix = "LOG_SERVICE_"

// A setting is one environment variable of the server.
type setting struct {
	name string // without Prefix
	set  func(c *Config, value string) error
}

// settings returns every setting, in the order of the documentation.
func settings() []setting {
	return append([]setting{
		{"HTTP_BIND", bind(func(c *Config) *string { return &c.Bind })},
		{"GRPC_BIND", grpcBind},
		{"ADMIN_BIND", bind(func(c *Config) *string { return &c.AdminBind })},
		{"MAX_CONNECTIONS", count(func(c *Config) *int64 { return &c.MaxConnections })},
		{"TLS_CERT", text(func(c *Config) *string { return &c.TLSCert })},
		{"TLS_KEY", text(func(c *Config) *string { return &c.TLSKey })},
		{"TLS_CLIENT_CA", text(func(c *Config) *string { return &c.TLSClientCA })},
		{"HTTP_PROTO", oneOf(func(c *Config) *string { return &c.Proto }, "http", "https")},
		{"HTTP_HOST", setHost},
		{"DISABLE_AUTH", boolean(func(c *Config) *bool { return &c.DisableAuth })},
		{"SECRET", secret(func(c *Config) *Secret { return &c.Secret })},
		{"OLD_SECRETS", list(func(c *Config) *[]Secret { return &c.OldSecrets })},
		{"GLOBAL_TOKEN", secret(func(c *Config) *Secret { return &c.GlobalToken })},
		{"OLD_GLOBAL_TOKENS", list(func(c *Config) *[]Secret { return &c.OldGlobalTokens })},
		{"JWT_KEYS", list(func(c *Config) *[]string { return &c.JWTKeys })},
		{"OIDC_ISSUER", text(func(c *Config) *string { return &c.OIDC.Issuer })},
		{"OIDC_AUDIENCE", text(func(c *Config) *string { return &c.OIDC.Audience })},
		{"OIDC_CLAIMS", pairs(func(c *Config) *map[string]string { return &c.OIDC.Claims })},
		{"OIDC_ACCOUNT", text(func(c *Config) *string { return &c.OIDC.Account })},
		{"OIDC_PREFIX", text(func(c *Config) *string { return &c.OIDC.Prefix })},
		{"OIDC_VERBS", setVerbs},
		{"REVOKED_TOKENS", text(func(c *Config) *string { return &c.RevokedTokens })},
		{"STOP_DELAY", setStopDelay},
		{"DATA", text(func(c *Config) *string { return &c.Data })},
		{"BOLT_PATH", text(func(c *Config) *string { return &c.BoltPath })},
		{"ARCHIVE_COMPRESSION", oneOf(func(c *Config) *string { return &c.ArchiveCompression }, CompressNone, CompressZstd)},
		{"RETENTION", setRetention},
		{"STREAM", oneOf(func(c *Config) *string { return &c.Stream }, StreamDisk, StreamMemory, StreamRedis)},
		{"MEMORY", size(func(c *Config) *int64 { return &c.Memory }, MinMemory, 1<<50)},
		{"MAX_LINE", size(func(c *Config) *int64 { return &c.MaxLine }, MinLine, MaxLine)},
		{"MAX_BODY", size(func(c *Config) *int64 { return &c.MaxBody }, MinLine, MaxBody)},
		{"MAX_UPLOAD", size(func(c *Config) *int64 { return &c.MaxUpload }, MinLine, 1<<50)},
		{"ACCOUNT_MAX_STREAMS", count(func(c *Config) *int64 { return &c.AccountStreams })},
		{"ACCOUNT_MAX_TAILS", count(func(c *Config) *int64 { return &c.AccountTails })},
		{"ACCOUNT_MAX_RATE", size(func(c *Config) *int64 { return &c.AccountRate }, 0, 1<<50)},
		{"ACCOUNT_MAX_STORED", size(func(c *Config) *int64 { return &c.AccountStored }, 0, 1<<60)},
		{"DEBUG_MODE", boolean(func(c *Config) *bool { return &c.Debug })},
		{"TRACE", boolean(func(c *Config) *bool { return &c.Trace })},
	}, redisSettings()...)
}

// clientNames are the settings of the client commands, which are often present in
// a server's environment.
func clientNames() []string {
	return []string{"SERVER", "ACCOUNT", "TOKEN", "CA_FILE", "CLIENT_CERT", "CLIENT_KEY", "TIMEOUT", "OUTPUT", "QUIET", "VERBOSE"}
}

func setRetention(c *Config, v string) error {
	d, err := time.ParseDuration(v)
	if err != nil {
		return fmt.Errorf("want a time in hours, for example 720h for 30 days")
	}
	if d < MinRetention {
		return fmt.Errorf("want at least %v; unset keeps logs for ever", MinRetention)
	}
	c.Retention = d
	return nil
}

func text(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		*field(c) = v
		return nil
	}
}

// secret parses a string whose value is never shown.
func secret(field func(*Config) *Secret) func(*Config, string) error {
	return func(c *Config, v string) error {
		*field(c) = Secret(v)
		return nil
	}
}

// list parses strings separated by commas.
func list[T ~string](field func(*Config) *[]T) func(*Config, string) error {
	return func(c *Config, v string) error {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				*field(c) = append(*field(c), T(part))
			}
		}
		return nil
	}
}

// pairs parses name=value pairs separated by commas.
func pairs(field func(*Config) *map[string]string) func(*Config, string) error {
	return func(c *Config, v string) error {
		all := map[string]string{}
		for part := range strings.SplitSeq(v, ",") {
			name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
			if !ok || name == "" || value == "" {
				return fmt.Errorf("want name=value, several separated by commas")
			}
			if _, twice := all[name]; twice {
				return fmt.Errorf("%s is there twice", name)
			}
			all[name] = value
		}
		*field(c) = all
		return nil
	}
}

func setVerbs(c *Config, v string) (err error) {
	c.OIDC.Verbs, err = auth.ParseVerbs(v)
	return err
}

func boolean(field func(*Config) *bool) func(*Config, string) error {
	return func(c *Config, v string) error {
		b, err := strconv.ParseBool(v)
		if err != nil {
			return fmt.Errorf("want true or false")
		}
		*field(c) = b
		return nil
	}
}

func oneOf(field func(*Config) *string, allowed ...string) func(*Config, string) error {
	return func(c *Config, v string) error {
		for _, a := range allowed {
			if v == a {
				*field(c) = v
				return nil
			}
		}
		return fmt.Errorf("want %s", strings.Join(allowed, " or "))
	}
}

func count(field func(*Config) *int64) func(*Config, string) error {
	return func(c *Config, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			return fmt.Errorf("must be a whole number, 0 for no limit")
		}
		*field(c) = n
		return nil
	}
}

func size(field func(*Config) *int64, least, most int64) func(*Config, string) error {
	return func(c *Config, v string) error {
		n, err := ParseSize(v)
		if err != nil {
			return err
		}
		if n < least || n > most {
			return fmt.Errorf("want %s to %s, and this is %d bytes", FormatSize(least), FormatSize(most), n)
		}
		*field(c) = n
		return nil
	}
}
