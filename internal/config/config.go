// Package config defines every setting of the server: its meaning, its default,
// and how it is read from the environment.
//
// Settings are environment variables with the prefix LOG_SERVICE_. An invalid
// value, or a setting that this version does not support, stops the server at
// startup: no setting is ignored silently.
package config

import (
	"path/filepath"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/auth"
)

// Engines for live streams; see Config.Stream.
const (
	StreamDisk   = "disk"
	StreamMemory = "memory"
	StreamRedis  = "redis"
)

// Addresses of the gRPC service; see Config.GRPCBind.
const (
	DefaultGRPCBind = "127.0.0.1:8078"
	GRPCOff         = "off"
)

// Formats of archived logs; see Config.ArchiveCompression.
const (
	CompressNone = "none"
	CompressZstd = "zstd"
)

// Limits of settings.
const (
	// MinRetention keeps a typo, such as 30m instead of 30 days, from deleting
	// everything.
	MinRetention = time.Hour
	// MinMemory is the smallest budget that holds a few typical batches for
	// readers to share; with less, every tail would read from disk.
	MinMemory = 1 << 20
	// MinLine leaves space for the members of a line besides its text.
	MinLine = 1 << 10
	// MaxLine limits how much memory one line may cost a reader.
	MaxLine = 64 << 20
	// MaxBody limits how much memory one append may cost the server.
	MaxBody = 1 << 30
)

// StopTimeout limits a graceful shutdown, so that it ends before the 30 seconds
// after which Docker Compose setups and Kubernetes kill the process.
const StopTimeout = 25 * time.Second

// MaxStopDelay leaves part of StopTimeout for requests in progress.
const MaxStopDelay = 8 * time.Second

// Config holds every setting of a server. Create one with Default or Load.
type Config struct {
	// Bind is the TCP address to listen on, host:port. Without a host the
	// server listens on all interfaces; with port 0 it picks a free port.
	Bind string // LOG_SERVICE_HTTP_BIND

	// AdminBind is the loopback address, host:port, of a second listener for
	// metrics and profiles. Port 0 picks a free port; empty disables it.
	AdminBind string // LOG_SERVICE_ADMIN_BIND

	// GRPCBind is the TCP address of the gRPC service, like Bind. If empty, it
	// is DefaultGRPCBind, or a free port of the same host if that one is in use.
	// GRPCOff disables the service.
	GRPCBind string // LOG_SERVICE_GRPC_BIND

	// MaxConnections limits the open connections of all listeners together;
	// further ones are closed at once. Zero derives the limit from the process's
	// file descriptor limit, less what the log, the store and backends need.
	MaxConnections int64 // LOG_SERVICE_MAX_CONNECTIONS

	// TLSCert and TLSKey are PEM files with the server's certificate (followed by
	// its chain) and its key; set both or neither. They are reloaded when they
	// change. TLSClientCA is a PEM file of certificate authorities; if set,
	// clients need a certificate issued by one of them.
	TLSCert     string // LOG_SERVICE_TLS_CERT
	TLSKey      string // LOG_SERVICE_TLS_KEY
	TLSClientCA string // LOG_SERVICE_TLS_CLIENT_CA

	// StopDelay is how long a graceful shutdown keeps serving with readiness
	// off, so that load balancers stop sending requests; at most MaxStopDelay.
	StopDelay time.Duration // LOG_SERVICE_STOP_DELAY

	// Proto (http or https) and Host (host[:port]) are how clients reach the
	// server; links are made with them. If Host is empty, a link uses the address
	// of the request that asks for it. The default of Proto is https if the server
	// uses TLS.
	Proto string // LOG_SERVICE_HTTP_PROTO
	Host  string // LOG_SERVICE_HTTP_HOST

	// Debug logs what the server does; Trace also logs every request.
	Debug bool // LOG_SERVICE_DEBUG_MODE
	Trace bool // LOG_SERVICE_TRACE

	// DisableAuth lets everybody who can reach the server read and write every
	// log, and overrides all token settings. A non-loopback address requires
	// either this or a way to verify tokens.
	DisableAuth bool // LOG_SERVICE_DISABLE_AUTH

	Auth

	// Data is the directory of all persistent data. It is created if missing.
	// Only one server at a time can use it.
	Data string // LOG_SERVICE_DATA

	// BoltPath is the file of the embedded blob store.
	BoltPath string // LOG_SERVICE_BOLT_PATH

	// S3 is the bucket that stores finished logs instead of BoltPath.
	S3 S3

	// ArchiveCompression is the format of archived logs: CompressNone stores JSON
	// lines that any program can read, CompressZstd takes less space. If empty, it
	// is CompressNone in a bucket; the embedded store always compresses.
	ArchiveCompression string // LOG_SERVICE_ARCHIVE_COMPRESSION

	// Retention is how long the embedded store keeps a finished log; zero means
	// for ever.
	Retention time.Duration // LOG_SERVICE_RETENTION

	// Stream is the engine for live streams. StreamDisk keeps every acknowledged
	// line on disk. StreamMemory loses live streams when the server stops.
	// StreamRedis shares them with other servers, and is the default if Redis is
	// configured.
	Stream string // LOG_SERVICE_STREAM

	// Redis configures StreamRedis.
	Redis Redis

	// Memory is the budget in bytes for lines of live streams in memory, shared
	// by all streams. Older lines are read back from disk.
	Memory int64 // LOG_SERVICE_MEMORY

	// MaxLine is the maximum size in bytes of a line's JSON; the text of a longer
	// line is truncated and marked.
	MaxLine int64 // LOG_SERVICE_MAX_LINE

	// MaxBody limits the body of one append in bytes, MaxUpload that of a
	// whole log; both after decompression.
	MaxBody   int64 // LOG_SERVICE_MAX_BODY
	MaxUpload int64 // LOG_SERVICE_MAX_UPLOAD

	// Limits per account; 0 means none. See logs.Limits.
	AccountStreams int64 // LOG_SERVICE_ACCOUNT_MAX_STREAMS
	AccountTails   int64 // LOG_SERVICE_ACCOUNT_MAX_TAILS
	AccountRate    int64 // LOG_SERVICE_ACCOUNT_MAX_RATE, bytes per second
	AccountStored  int64 // LOG_SERVICE_ACCOUNT_MAX_STORED, bytes
}

// Auth configures which tokens are accepted. If nothing is set, authentication is
// off.
type Auth struct {
	// Secret signs and verifies account tokens, in the format of the original
	// Harness log service, and verifies HS256 JSON web tokens. OldSecrets only
	// verify, until the tokens signed with them have expired.
	Secret     Secret   // LOG_SERVICE_SECRET
	OldSecrets []Secret // LOG_SERVICE_OLD_SECRETS

	// GlobalToken may issue account tokens, list the live logs of all accounts,
	// and delete below a prefix. OldGlobalTokens remain valid.
	GlobalToken     Secret   // LOG_SERVICE_GLOBAL_TOKEN
	OldGlobalTokens []Secret // LOG_SERVICE_OLD_GLOBAL_TOKENS

	// JWTKeys are PEM files of public keys or certificates that verify JSON
	// web tokens (EdDSA, RS256, ES256). They are reloaded when they change.
	JWTKeys []string // LOG_SERVICE_JWT_KEYS

	// OIDC trusts the identity tokens of an issuer, if it names one.
	OIDC auth.OIDC // LOG_SERVICE_OIDC_ISSUER, _AUDIENCE, _CLAIMS, _ACCOUNT, _PREFIX, _VERBS

	// RevokedTokens is a file that lists the IDs of revoked tokens, one per line.
	// It is reloaded when it changes.
	RevokedTokens string // LOG_SERVICE_REVOKED_TOKENS
}

// MinSecret is the minimum length of a secret in bytes: a shorter one can be
// recovered from a token that was signed with it.
const MinSecret = 16

// Secret is a string that is never printed.
type Secret string

// String hides the secret.
func (Secret) String() string { return "[hidden]" }

// GoString hides the secret.
func (Secret) GoString() string { return "[hidden]" }

// MarshalText hides the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte("[hidden]"), nil }

// AuthOn reports whether requests need a token.
func (c *Config) AuthOn() bool {
	return !c.DisableAuth && (c.Secret != "" || c.GlobalToken != "" || len(c.JWTKeys) > 0 || c.OIDC.Issuer != "")
}

// Default returns the settings of an unconfigured server: reachable only from
// this machine, and durable.
func Default() Config {
	return Config{
		Bind:     "127.0.0.1:8079",
		Proto:    "http",
		Auth:     Auth{OIDC: auth.OIDC{Verbs: auth.Push | auth.Tail}},
		Data:     "data",
		BoltPath: filepath.Join("data", "blobs.db"),
		Stream:   StreamDisk,
		Redis:    Redis{Prefix: "log-service:", StreamMemory: 4 << 20},
		Memory:   256 << 20,
		MaxLine:  logservice.DefaultMaxLineBytes,
		MaxBody:  logservice.DefaultMaxBodyBytes,
		// A hundred times the longest log that anybody reads.
		MaxUpload: 16 << 30,
		// Far beyond a healthy tenant; stops clients that never close their
		// streams, and viewers that reconnect in a loop.
		AccountStreams: 200_000,
		AccountTails:   20_000,
	}
}
