// Package config holds every setting of the server: what it means, what it is
// when nobody sets it, and how it is read from the environment.
//
// Settings are environment variables whose names begin with LOG_SERVICE_. A
// value that breaks a rule, and a setting that asks for what this version
// does not do, stop the server before it starts: a setting is never ignored
// in silence.
package config

import (
	"path/filepath"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/auth"
)

// Engines of live streams; see Config.Stream.
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

// Ways to store a closed log; see Config.ArchiveCompression.
const (
	CompressNone = "none"
	CompressZstd = "zstd"
)

// Limits of the settings.
const (
	// MinRetention keeps a slip of the pen, 30m for 30 days, from deleting
	// everything.
	MinRetention = time.Hour
	// MinMemory is the smallest budget that still holds a few batches of
	// usual size for readers to share; below it every tail reads from disk.
	MinMemory = 1 << 20
	// MinLine leaves room for the members of a line beside its text.
	MinLine = 1 << 10
	// MaxLine bounds what one line may make a reader hold at once.
	MaxLine = 64 << 20
	// MaxBody bounds what one append may make the server hold at once.
	MaxBody = 1 << 30
)

// StopTimeout bounds an orderly stop, so that it ends before the 30 seconds
// are over after which Docker Compose setups and Kubernetes kill.
const StopTimeout = 25 * time.Second

// MaxStopDelay leaves requests in flight some of StopTimeout.
const MaxStopDelay = 8 * time.Second

// Config is everything that can be set about a server. Make one with Default
// or Load.
type Config struct {
	// Bind is the TCP address to listen on, host:port. Without a host the
	// server listens on all interfaces; port 0 takes a free port.
	Bind string // LOG_SERVICE_HTTP_BIND

	// AdminBind is the loopback address, host:port, of a second listener with
	// metrics and profiles; port 0 takes a free port, empty is none.
	AdminBind string // LOG_SERVICE_ADMIN_BIND

	// GRPCBind is the TCP address of the gRPC service, like Bind. Empty: that
	// of DefaultGRPCBind, or where that is taken a free port of the same host.
	// GRPCOff: there is none.
	GRPCBind string // LOG_SERVICE_GRPC_BIND

	// MaxConnections bounds the connections to all listeners together; those
	// past it are closed at once. Zero is as many as the process's limit of
	// open files leaves when the log, the store and backends have theirs.
	MaxConnections int64 // LOG_SERVICE_MAX_CONNECTIONS

	// TLSCert and TLSKey are PEM files with the server's certificate (its
	// chain behind it) and its key; both or none. They are read again when
	// they change. With TLSClientCA, a PEM file of certificate authorities,
	// clients need a certificate of one of these.
	TLSCert     string // LOG_SERVICE_TLS_CERT
	TLSKey      string // LOG_SERVICE_TLS_KEY
	TLSClientCA string // LOG_SERVICE_TLS_CLIENT_CA

	// StopDelay is how long an orderly stop goes on serving with readiness
	// off, so that load balancers send nobody any more; at most MaxStopDelay.
	StopDelay time.Duration // LOG_SERVICE_STOP_DELAY

	// Proto and Host are how clients reach the server, http or https and
	// host[:port], for the links that it hands out. With an empty Host links
	// are made from the address of the request that asks for one. Proto is
	// https where the server speaks TLS and nobody says otherwise.
	Proto string // LOG_SERVICE_HTTP_PROTO
	Host  string // LOG_SERVICE_HTTP_HOST

	// Debug logs what the server does, Trace every request as well.
	Debug bool // LOG_SERVICE_DEBUG_MODE
	Trace bool // LOG_SERVICE_TRACE

	// DisableAuth says that everybody who reaches the server may read and
	// write every log, whatever else is set about tokens. An address other
	// than loopback requires it, or a way to verify tokens.
	DisableAuth bool // LOG_SERVICE_DISABLE_AUTH

	Auth

	// Data is the folder that holds all that the server keeps. It is made
	// when missing. One server at a time uses it.
	Data string // LOG_SERVICE_DATA

	// BoltPath is the file of the embedded blob store.
	BoltPath string // LOG_SERVICE_BOLT_PATH

	// S3 is the bucket that keeps finished logs instead of that file.
	S3 S3

	// ArchiveCompression is how closed logs are stored: CompressNone as JSON
	// lines that every program reads, CompressZstd in less room. Empty is
	// CompressNone in a bucket; the embedded store always compresses.
	ArchiveCompression string // LOG_SERVICE_ARCHIVE_COMPRESSION

	// Retention is how long the embedded store keeps a finished log; zero is
	// for ever.
	Retention time.Duration // LOG_SERVICE_RETENTION

	// Stream is the engine of live streams: StreamDisk has every
	// acknowledged line on disk, StreamMemory loses live streams when the
	// server stops, StreamRedis shares them with other servers. It is the
	// last where Redis names a server.
	Stream string // LOG_SERVICE_STREAM

	// Redis is where StreamRedis has the streams.
	Redis Redis

	// Memory is the budget, in bytes, for lines of live streams held in
	// memory, all streams together. Older lines are read back from disk.
	Memory int64 // LOG_SERVICE_MEMORY

	// MaxLine is the size in bytes of a line's JSON past which its text is
	// cut and marked.
	MaxLine int64 // LOG_SERVICE_MAX_LINE

	// MaxBody bounds the body of one append in bytes, MaxUpload that of a
	// whole log; both after decompression.
	MaxBody   int64 // LOG_SERVICE_MAX_BODY
	MaxUpload int64 // LOG_SERVICE_MAX_UPLOAD

	// The limits of each account; 0 is none. See logs.Limits.
	AccountStreams int64 // LOG_SERVICE_ACCOUNT_MAX_STREAMS
	AccountTails   int64 // LOG_SERVICE_ACCOUNT_MAX_TAILS
	AccountRate    int64 // LOG_SERVICE_ACCOUNT_MAX_RATE, bytes a second
	AccountStored  int64 // LOG_SERVICE_ACCOUNT_MAX_STORED, bytes
}

// Auth says which tokens count. Where nothing of it is set, authentication is
// off.
type Auth struct {
	// Secret makes and verifies the tokens of accounts, in the format of the
	// first service, and verifies JSON web tokens by HS256. OldSecrets still
	// verify both, while their tokens run out.
	Secret     Secret   // LOG_SERVICE_SECRET
	OldSecrets []Secret // LOG_SERVICE_OLD_SECRETS

	// GlobalToken gets tokens for accounts, lists the live logs of all of them,
	// and deletes below a prefix. OldGlobalTokens still do.
	GlobalToken     Secret   // LOG_SERVICE_GLOBAL_TOKEN
	OldGlobalTokens []Secret // LOG_SERVICE_OLD_GLOBAL_TOKENS

	// JWTKeys are PEM files of public keys or certificates that verify JSON
	// web tokens by EdDSA, RS256 or ES256. They are read again on change.
	JWTKeys []string // LOG_SERVICE_JWT_KEYS

	// OIDC trusts the identity tokens of an issuer, where it names one.
	OIDC auth.OIDC // LOG_SERVICE_OIDC_ISSUER, _AUDIENCE, _CLAIMS, _ACCOUNT, _PREFIX, _VERBS

	// RevokedTokens is a file of the ids of tokens that count no more, one a
	// line. It is read again on change.
	RevokedTokens string // LOG_SERVICE_REVOKED_TOKENS
}

// MinSecret is the fewest bytes that a secret may have: a shorter one can be
// found out from a token that it made.
const MinSecret = 16

// Secret is a text that no message shows.
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

// Default returns the settings of a server that nobody configured: reachable
// from this machine only, and durable.
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
		// Far past what a healthy tenant has: streams that nobody closes, and
		// viewers in a loop, end there.
		AccountStreams: 200_000,
		AccountTails:   20_000,
	}
}
