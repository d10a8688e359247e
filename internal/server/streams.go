package server

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/stream"
	"github.com/harness/log-service/internal/stream/redis"
)

// engine keeps live logs.
type engine interface {
	logs.Streams
	Stop() error
}

// openStreams opens the engine that c selects. The store must be open.
func (s *Server) openStreams(c config.Config) (engine, error) {
	if c.Stream == config.StreamRedis {
		return s.openRedis(c)
	}
	e := stream.Config{Memory: c.Memory, Logger: s.log}
	if c.Stream == config.StreamDisk {
		e.Dir = filepath.Join(s.data.path, streamsDir)
	}
	embedded, err := stream.Open(e)
	if err != nil {
		return nil, fmt.Errorf("live streams: %w", err)
	}
	return embedded, nil
}

func (s *Server) openRedis(c config.Config) (engine, error) {
	if c.S3.Bucket == "" {
		s.log.Warn("finished logs and parts of long live logs are stored only on this machine: servers that share streams need a bucket, see LOG_SERVICE_S3_BUCKET")
	}
	shared := c.Redis
	shared.Memory, shared.Dir, shared.Store, shared.Logger = c.Memory, s.data.path, s.store, s.log
	e, err := redis.Open(context.Background(), shared)
	if err != nil {
		return nil, fmt.Errorf("live streams: %w", err)
	}
	return e, nil
}

// linkKey returns the key that signs links and tickets; see the function linkKey.
// Without a secret, servers that share streams use the key of the first one.
func (s *Server) linkKey(c config.Config) ([]byte, error) {
	own, err := linkKey(c, s.data)
	if err != nil {
		return nil, fmt.Errorf("link key: %w", err)
	}
	shared, ok := s.engine.(interface {
		LinkKey(ctx context.Context, own []byte) ([]byte, error)
	})
	if c.Auth.Secret != "" || !ok {
		return own, nil
	}
	return shared.LinkKey(context.Background(), own)
}
