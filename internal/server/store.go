package server

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/bolt"
	"github.com/harness/log-service/internal/store/s3"
)

// store keeps finished logs.
type store interface {
	logs.Store
	io.Closer
}

// openStore opens the bucket if one is configured, otherwise the embedded store.
func openStore(c config.Config, now func() time.Time, logger *slog.Logger) (store, error) {
	if c.S3.Bucket == "" {
		s, err := bolt.Open(c.BoltPath, bolt.Options{Logger: logger, Now: now})
		if err != nil {
			return nil, fmt.Errorf("blob store: %w", err)
		}
		return s, nil
	}
	if _, err := os.Stat(c.BoltPath); err == nil {
		logger.Warn("logs in the embedded store are not served while a bucket is configured", "file", c.BoltPath)
	}
	bucket := c.S3
	bucket.Logger = logger
	s, err := s3.Open(context.Background(), bucket)
	if err != nil {
		return nil, fmt.Errorf("object store: %w", err)
	}
	return s, nil
}
