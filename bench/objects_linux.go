package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/harness/log-service/bench/load"
	"github.com/harness/log-service/bench/report"
	"github.com/harness/log-service/internal/store/s3/s3test"
)

const (
	objects       process = "objects" // the server with its finished logs in MinIO
	benchBucket           = "bench"
	barePartBytes         = 16 << 20 // like the server
)

// objectStore starts MinIO below dir, with a bucket.
func objectStore(ctx context.Context, dir string) (*s3test.Server, error) {
	s, err := s3test.New(s3test.MinIO, dir)
	if err != nil {
		return nil, err
	}
	if err := s.MakeBucket(ctx, benchBucket); err != nil {
		s.Kill()
		return nil, err
	}
	return s, nil
}

// objectSettings point a server to the bucket.
func objectSettings(s *s3test.Server) []string {
	return []string{
		"LOG_SERVICE_S3_BUCKET=" + benchBucket, "LOG_SERVICE_S3_ENDPOINT=" + s.Endpoint(),
		"LOG_SERVICE_S3_ACCESS_KEY_ID=" + s3test.AccessKey, "LOG_SERVICE_S3_SECRET_ACCESS_KEY=" + s3test.SecretKey,
	}
}

// objectCalls stores a blob with the bare client, and reads it back.
func objectCalls(ctx context.Context, e *env) (m report.Metrics, err error) {
	s, err := objectStore(ctx, e.dir)
	if err != nil {
		return nil, err
	}
	defer s.Kill()
	c, err := s.Client()
	if err != nil {
		return nil, err
	}
	size, at := int64(e.n), time.Now()
	// Of unknown size, as the server's bodies are.
	_, err = c.Client.PutObject(ctx, benchBucket, "log", io.LimitReader(load.NewRawLog(size), size), -1, minio.PutObjectOptions{PartSize: barePartBytes})
	if err != nil {
		return nil, fmt.Errorf("minio-go: %w", err)
	}
	m = report.Metrics{"up_mb_per_s": float64(size) / 1e6 / time.Since(at).Seconds()}
	at = time.Now()
	o, err := c.Client.GetObject(ctx, benchBucket, "log", minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	got, err := io.Copy(io.Discard, o)
	if err = errors.Join(err, o.Close()); err != nil || got != size {
		return nil, fmt.Errorf("minio-go gave %d bytes of %d: %w", got, size, err)
	}
	m["down_mb_per_s"] = float64(size) / 1e6 / time.Since(at).Seconds()
	return m, nil
}
