package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Error reports an invalid setting.
type Error struct {
	Name  string // including the prefix
	Value string // empty if the setting is secret
	Rule  string // the rule it violates, and what to write instead
	Hint  string // how to fix it, if the rule does not say so
}

func (e *Error) Error() string {
	if e.Value == "" {
		return e.Name + ": " + e.Rule
	}
	return fmt.Sprintf("%s=%s: %s", e.Name, strconv.Quote(e.Value), e.Rule)
}

// Environ returns the environment for Load: the variables of the .env file,
// overridden by environ, which has the form of os.Environ. If file is empty, no
// file is read; a missing file is an error only if required is set. The
// environment of the process does not change.
func Environ(environ []string, file string, required bool) (map[string]string, error) {
	env := map[string]string{}
	if file != "" {
		read, err := readEnvFile(file)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !required:
		case err != nil:
			return nil, fmt.Errorf("environment file %s: %w", file, err)
		default:
			env = read
		}
	}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			env[name] = value
		}
	}
	return env, nil
}

// Load creates a Config from env; an empty variable counts as unset. The warnings
// name variables that look like settings but are not. The error is an *Error, or
// several joined.
func Load(env map[string]string) (c Config, warnings []string, err error) {
	c = Default()
	var errs []error
	for _, s := range settings() {
		name := Prefix + s.name
		if v := env[name]; v != "" {
			if err := s.set(&c, v); err != nil {
				errs = append(errs, &Error{Name: name, Value: v, Rule: err.Error()})
			}
		}
	}
	if env[Prefix+"BOLT_PATH"] == "" {
		c.BoltPath = filepath.Join(c.Data, "blobs.db")
	}
	if env[Prefix+"HTTP_BIND"] == "" && c.AuthOn() {
		c.Bind = authBind
	}
	if env[Prefix+"HTTP_PROTO"] == "" && c.TLSCert != "" {
		c.Proto = "https"
	}
	if env[Prefix+"STREAM"] == "" && c.Redis.On() {
		c.Stream = StreamRedis
	}
	errs = append(errs, loadS3(&c, env)...)
	if len(errs) == 0 {
		if err := c.Validate(); err != nil {
			errs = append(errs, err)
		}
	}
	warnings = unknown(env)
	if c.S3.Bucket != "" && env[Prefix+"BOLT_PATH"] != "" {
		warnings = append(warnings, Prefix+"BOLT_PATH has no effect: finished logs are kept in the bucket")
	}
	return c, warnings, errors.Join(errs...)
}

// authBind is the default address of a server with authentication: clients of the
// original Harness log service expect it on every interface.
const authBind = ":8079"

// Validate checks rules that involve several settings.
func (c *Config) Validate() error {
	if err := c.validateAuth(); err != nil {
		return err
	}
	if name, value := c.reachable(); name != "" && !c.DisableAuth && !c.AuthOn() {
		return &Error{
			Name: Prefix + name, Value: value,
			Rule: "other machines can reach this address, and no authentication is configured",
			Hint: "set LOG_SERVICE_SECRET (create one with openssl rand -base64 32), or listen on 127.0.0.1, or set LOG_SERVICE_DISABLE_AUTH=true to let anyone who can reach the server read and write every log",
		}
	}
	if c.AdminBind != "" && !loopback(c.AdminBind) {
		return &Error{
			Name: Prefix + "ADMIN_BIND", Value: c.AdminBind,
			Rule: "this listener asks nobody for a token: want a loopback address, for example 127.0.0.1:8077",
		}
	}
	if err := c.validateTLS(); err != nil {
		return err
	}
	if err := c.validateRedis(); err != nil {
		return err
	}
	if c.Proto != Default().Proto && c.Host == "" && c.TLSCert == "" {
		return &Error{
			Name: Prefix + "HTTP_PROTO", Value: c.Proto,
			Rule: "the scheme of links has no effect without their host: also set LOG_SERVICE_HTTP_HOST",
		}
	}
	if c.Retention > 0 && c.S3.Bucket != "" {
		return &Error{
			Name: Prefix + "RETENTION", Value: c.Retention.String(),
			Rule: "in a bucket, how long logs are kept is a lifecycle rule of the bucket",
			Hint: "leave it unset and make the rule, see docs/storage.md",
		}
	}
	if c.ArchiveCompression == CompressNone && c.S3.Bucket == "" {
		return &Error{
			Name: Prefix + "ARCHIVE_COMPRESSION", Value: c.ArchiveCompression,
			Rule: "the embedded store always compresses",
			Hint: "leave it unset: logs are read as JSON lines all the same",
		}
	}
	if c.MaxLine > c.MaxBody {
		return &Error{
			Name: Prefix + "MAX_LINE", Value: FormatSize(c.MaxLine),
			Rule: fmt.Sprintf("a line is part of a body, and %sMAX_BODY is %s", Prefix, FormatSize(c.MaxBody)),
		}
	}
	return nil
}

// validateAuth checks the settings about tokens, if they are in use.
func (c *Config) validateAuth() error {
	if c.DisableAuth {
		return nil
	}
	for _, s := range []struct {
		name   string
		values []Secret
	}{
		{"SECRET", []Secret{c.Secret}}, {"OLD_SECRETS", c.OldSecrets},
		{"GLOBAL_TOKEN", []Secret{c.GlobalToken}}, {"OLD_GLOBAL_TOKENS", c.OldGlobalTokens},
	} {
		for _, v := range s.values {
			if v != "" && len(v) < MinSecret {
				return &Error{Name: Prefix + s.name, Rule: fmt.Sprintf("%d bytes can be guessed: at least %d", len(v), MinSecret),
					Hint: "make one with: openssl rand -base64 32"}
			}
		}
	}
	for _, s := range []struct {
		name, needs string
		bad         bool
	}{
		{"OLD_SECRETS", "SECRET", len(c.OldSecrets) > 0 && c.Secret == ""},
		{"OLD_GLOBAL_TOKENS", "GLOBAL_TOKEN", len(c.OldGlobalTokens) > 0 && c.GlobalToken == ""},
	} {
		if s.bad {
			return &Error{Name: Prefix + s.name, Rule: "old ones go with a new one: set " + Prefix + s.needs + ", too"}
		}
	}
	if err := c.validateOIDC(); err != nil {
		return err
	}
	if c.GlobalToken != "" && c.Secret == "" && len(c.JWTKeys) == 0 && c.OIDC.Issuer == "" {
		return &Error{Name: Prefix + "GLOBAL_TOKEN",
			Rule: "it issues tokens signed with " + Prefix + "SECRET, which is not set: nobody could access a log"}
	}
	if c.RevokedTokens != "" && !c.AuthOn() {
		return &Error{Name: Prefix + "REVOKED_TOKENS", Value: c.RevokedTokens,
			Rule: "no tokens are asked for: set " + Prefix + "SECRET or " + Prefix + "JWT_KEYS, too"}
	}
	return nil
}

func (c *Config) validateOIDC() error {
	o := c.OIDC
	if o.Issuer == "" {
		if o.Audience+o.Account+o.Prefix != "" || len(o.Claims) > 0 || o.Verbs != Default().OIDC.Verbs {
			return &Error{Name: Prefix + "OIDC_ISSUER", Rule: "it is not set, and other settings of identity tokens are"}
		}
		return nil
	}
	field, err := o.Check()
	if err == nil {
		return nil
	}
	value := map[string]string{"Issuer": o.Issuer, "Audience": o.Audience, "Account": o.Account, "Prefix": o.Prefix}[field]
	return &Error{Name: Prefix + "OIDC_" + strings.ToUpper(field), Value: value, Rule: err.Error()}
}

// Loopback reports whether the server is reachable only from this machine.
func (c *Config) Loopback() bool {
	name, _ := c.reachable()
	return name == ""
}

// reachable returns the first setting that makes the server reachable from other
// machines, without Prefix, and its value; both are empty if there is none.
func (c *Config) reachable() (name, value string) {
	switch {
	case !loopback(c.Bind):
		return "HTTP_BIND", c.Bind
	case c.GRPCBind != "" && c.GRPCBind != GRPCOff && !loopback(c.GRPCBind):
		return "GRPC_BIND", c.GRPCBind
	}
	return "", ""
}

// loopback reports whether an address is reachable only from this machine. A host
// name other than localhost counts as reachable, because its address may change.
func loopback(bind string) bool {
	host, _, err := net.SplitHostPort(bind)
	if err != nil {
		return false
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

func bind(field func(*Config) *string) func(*Config, string) error {
	return func(c *Config, v string) error {
		host, port, err := net.SplitHostPort(v)
		if err != nil {
			return errors.New("want host:port, for example 127.0.0.1:8079, or :8079 for all interfaces")
		}
		n, err := strconv.ParseUint(port, 10, 16)
		switch {
		case err != nil:
			return fmt.Errorf("port %q is not a number from 0 to %d", port, 1<<16-1)
		case strings.ContainsAny(host, " /@"):
			return fmt.Errorf("%q is not a host name or an address", host)
		}
		*field(c) = net.JoinHostPort(host, strconv.FormatUint(n, 10))
		return nil
	}
}

func grpcBind(c *Config, v string) error {
	if strings.EqualFold(v, GRPCOff) {
		c.GRPCBind = GRPCOff
		return nil
	}
	if err := bind(func(c *Config) *string { return &c.GRPCBind })(c, v); err != nil {
		return fmt.Errorf("%w; or %s for none", err, GRPCOff)
	}
	return nil
}

func setStopDelay(c *Config, v string) error {
	d, err := time.ParseDuration(v)
	if err != nil || d < 0 || d > MaxStopDelay {
		return fmt.Errorf("want a time from 0s to %v, for example 5s", MaxStopDelay)
	}
	c.StopDelay = d
	return nil
}

func setHost(c *Config, v string) error {
	if strings.ContainsAny(v, "/?#@ ") {
		return errors.New("want host or host:port alone, for example logs.example.com; the scheme is LOG_SERVICE_HTTP_PROTO")
	}
	c.Host = v
	return nil
}
