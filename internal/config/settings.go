package config

import (
	"errors"
	"fmt"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/duration"
	"github.com/harness/log-service/internal/setting"
)

// Engines for live streams; see Config.Stream.
const (
	StreamDisk   = "disk"
	StreamMemory = "memory"
	StreamRedis  = "redis"
)

// Formats of archived logs; see Config.ArchiveCompression.
const (
	CompressNone = "none"
	CompressZstd = "zstd"
)

// Limits of settings.
const (
	// minRetention keeps a typo, such as 30m instead of 30 days, from deleting
	// everything.
	minRetention = time.Hour
	// minMemory is the smallest budget that holds a few typical batches for
	// readers to share; with less, every tail would read from disk.
	minMemory = 1 << 20
	// minLine leaves space for the members of a line besides its text.
	minLine = 1 << 10
	// maxLine limits how much memory one line may cost a reader.
	maxLine = 64 << 20
	// maxBody limits how much memory one append may cost the server.
	maxBody = 1 << 30
	// maxSize is for budgets of memory and disk: more than there is.
	maxSize = 1 << 60
)

// StopTimeout limits a graceful shutdown, so that it ends before the 30 seconds
// after which Docker Compose setups and Kubernetes kill the process.
const StopTimeout = 25 * time.Second

// maxStopDelay leaves part of StopTimeout for requests in progress.
const maxStopDelay = 8 * time.Second

func (c *Config) storage() []*setting.Setting {
	return []*setting.Setting{
		setting.Text(&c.Data, "DATA", "Data directory; created if missing, readable only by its owner. Only one server at a time can use it").Default("data"),
		setting.Text(&c.BoltPath, "BOLT_PATH",
			"Catalog of finished logs, unless a bucket is configured (below). Larger logs are in the directory of the same name without its extension").
			Unset("`blobs.db` in the data directory"),
		setting.Func("RETENTION",
			"How long the embedded store keeps a finished log, for example `30d`; at least `1h`. If unset, forever. "+
				"For a bucket, set a lifecycle rule: see [storage.md](storage.md#retention)", c.parseRetention),
		setting.OneOf(&c.Stream, "STREAM",
			"Where live logs are: `disk`; `memory`, which is faster, but loses them when the server stops; or `redis` (below), "+
				"the default if a Redis is configured",
			StreamDisk, StreamMemory, StreamRedis).Default(StreamDisk),
	}
}

func (c *Config) parseRetention(v string) error {
	d, err := duration.Parse(v)
	if err != nil {
		return errors.New("want a time, for example 30d or 720h")
	}
	if d < minRetention {
		return fmt.Errorf("want at least %v; unset keeps logs forever", minRetention)
	}
	c.Retention = d
	return nil
}

func (c *Config) archiveCompression() *setting.Setting {
	return setting.OneOf(&c.ArchiveCompression, "ARCHIVE_COMPRESSION",
		"Format of closed logs in the bucket: `none`, JSON lines, which any program can read through a link; or `zstd`. "+
			"The embedded store always compresses", CompressNone, CompressZstd).Unset("`none`")
}

func (c *Config) limits() []*setting.Setting {
	return []*setting.Setting{
		setting.Size(&c.Memory, "MEMORY",
			"Memory for lines of all live logs; older lines are read from disk. With `LOG_SERVICE_STREAM=memory` there is no other copy: "+
				"older lines are lost, and readers are notified. At least `1MiB`", minMemory, maxSize).Default("256MiB"),
		setting.Size(&c.MaxLine, "MAX_LINE",
			"Size of a line's JSON; the text of a longer line is cut and the line marked. `1KiB` to `64MiB`", minLine, maxLine).
			Default(setting.FormatSize(logservice.DefaultMaxLineBytes)),
		setting.Size(&c.MaxBody, "MAX_BODY",
			"Size of one append after decompression; larger ones are rejected with 413. `1KiB` to `1GiB`", minLine, maxBody).
			Default(setting.FormatSize(logservice.DefaultMaxBodyBytes)),
		// A hundred times the longest log that anybody reads.
		setting.Size(&c.MaxUpload, "MAX_UPLOAD", "The same for the upload of a whole log", minLine, maxSize).Default("16GiB"),
	}
}

func (c *Config) accountLimits() []*setting.Setting {
	return []*setting.Setting{
		// Far beyond a healthy tenant; stops clients that never close their
		// streams, and viewers that reconnect in a loop.
		setting.Count(&c.AccountStreams, "ACCOUNT_MAX_STREAMS", "Open streams. Opening a stream that is already open always works").Default("200000"),
		setting.Count(&c.AccountTails, "ACCOUNT_MAX_TAILS", "Concurrent tails, per server").Default("20000"),
		setting.Size(&c.AccountRate, "ACCOUNT_MAX_RATE",
			"JSON appended per second, per server, with bursts of up to `LOG_SERVICE_MAX_BODY`", 0, maxSize).Default("0"),
		setting.Size(&c.AccountStored, "ACCOUNT_MAX_STORED",
			"Total stored size (compressed) of live and finished logs, measured every five minutes and counted in between", 0, maxSize).Default("0"),
	}
}

func (c *Config) logging() []*setting.Setting {
	return []*setting.Setting{
		setting.Bool(&c.Debug, "DEBUG_MODE", "Log each request and the server's activity to standard error"),
		setting.Bool(&c.Trace, "TRACE", "Same as `LOG_SERVICE_DEBUG_MODE` in this version"),
	}
}
