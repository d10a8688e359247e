package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"path/filepath"

	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/roots"
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
	trust, err := redisTLS(c.Redis)
	if err != nil {
		return nil, fmt.Errorf("live streams: %w", err)
	}
	if c.S3.Bucket == "" {
		s.log.Warn("finished logs and parts of long live logs are stored only on this machine: servers that share streams need a bucket, see LOG_SERVICE_S3_BUCKET")
	}
	e, err := redis.Open(context.Background(), redis.Config{
		Addresses: c.Redis.Addresses(), MasterName: c.Redis.MasterName,
		Username: c.Redis.Username, Password: string(c.Redis.Password),
		SentinelUsername: c.Redis.SentinelUsername, SentinelPassword: string(c.Redis.SentinelPassword),
		TLS: trust, Prefix: c.Redis.Prefix, StreamMemory: c.Redis.StreamMemory, Replicas: c.Redis.Replicas,
		Memory: c.Memory, Node: c.Redis.Node, Dir: s.data.path, Store: s.store, Logger: s.log,
	})
	if err != nil {
		return nil, fmt.Errorf("live streams: %w", err)
	}
	return e, nil
}

// redisTLS returns nil if Redis does not use TLS.
func redisTLS(r config.Redis) (*tls.Config, error) {
	if !r.SSL {
		return nil, nil
	}
	trust := &tls.Config{MinVersion: tls.VersionTLS12}
	if r.CACert == "" {
		return trust, nil
	}
	var err error
	if trust.RootCAs, err = roots.With(r.CACert); err != nil {
		return nil, fmt.Errorf("LOG_SERVICE_REDIS_SSL_CA_CERT_PATH: %w", err)
	}
	return trust, nil
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
	if c.Secret != "" || !ok {
		return own, nil
	}
	return shared.LinkKey(context.Background(), own)
}
