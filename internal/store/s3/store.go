// Package s3 stores blobs as objects in an S3 bucket: of AWS, MinIO, or any
// compatible store. It implements logs.Store, logs.Indexer and logs.Signer.
//
// names.go documents the names of objects, meta.go their metadata. The bucket
// must exist; docs/storage.md describes the required permissions.
package s3

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/semaphore"

	logservice "github.com/harness/log-service"
)

const (
	// answerTime limits how long a request without a body may take to be
	// answered, including retries: clients of the service give up after 10 s.
	answerTime = 8 * time.Second
	// stallTime is how long a connection may transfer nothing in either
	// direction during a request: after that the store is considered hung.
	stallTime = 30 * time.Second
	// attempts is how often a request is sent: a store that fails three times
	// within a second or two is down, and callers know better how long to wait.
	attempts = 3
	// retryAfter is the wait suggested to callers when the store is down.
	retryAfter = 5 * time.Second
)

// Store stores blobs in one bucket. All methods are safe for concurrent use.
// Create one with Open, and call Close when done.
type Store struct {
	log       *slog.Logger
	client    minio.Core
	links     *minio.Client // signs links: client, or one of another endpoint
	transport *http.Transport
	bucket    string
	names     names
	checksum  bool
	memory    *semaphore.Weighted // for parts of uploads, in bytes

	mu      sync.Mutex // guards orphans
	orphans []orphan
}

// Close closes idle connections.
func (s *Store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// Delete removes all attempts of a log; see logs.Store.
func (s *Store) Delete(ctx context.Context, id logservice.ID) error {
	all, err := s.attempts(ctx, id)
	if err != nil {
		return err
	}
	for i := range all { // the oldest first: what an interruption leaves is the newest
		if err := s.remove(ctx, all[i].name); err != nil {
			return err
		}
	}
	return nil
}

// remove removes an object and its index.
func (s *Store) remove(ctx context.Context, name string) error {
	limited, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	for _, n := range []string{name, indexOf(name)} {
		err := s.client.RemoveObject(limited, s.bucket, n, minio.RemoveObjectOptions{})
		if err := s.fault(ctx, "delete", err); err != nil && !errors.Is(err, logservice.ErrBlobNotFound) {
			return err
		}
	}
	return nil
}

// SignGet returns a URL that for ttl serves the newest attempt of a log to an
// HTTP GET; see logs.Signer.
func (s *Store) SignGet(ctx context.Context, id logservice.ID, ttl time.Duration) (string, error) {
	newest, err := s.newest(ctx, id)
	if err != nil {
		return "", err
	}
	name := newest.name
	// Browsers must not execute it, whatever type the uploader specified.
	u, err := s.links.PresignedGetObject(ctx, s.bucket, name, ttl, map[string][]string{"response-content-type": {contentType}})
	if err != nil {
		return "", s.fault(ctx, "sign a link", err)
	}
	return u.String(), nil
}

func (s *Store) name(id logservice.ID, attempt int64) (name string, cut bool, err error) {
	if err := id.Check(); err != nil {
		return "", false, err
	}
	if attempt < 0 || attempt > maxAttempt {
		return "", false, logservice.Invalidf("attempt %d is not between 1 and %d", attempt, maxAttempt)
	}
	name, cut = s.names.of(id, attempt)
	return name, cut, nil
}
