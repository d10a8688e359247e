// Package s3 keeps blobs as objects of an S3 bucket: of AWS, MinIO, or any
// store that speaks the protocol. It implements logs.Store, logs.Indexer and
// logs.Signer.
//
// names.go says how a log's object is called, meta.go what is kept beside its
// bytes. The bucket must exist; who may do what is said in docs/storage.md.
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
	// answerTime bounds how long a request may take until it is answered,
	// retries included, where nobody sends a body: clients of the service give
	// up after 10 s.
	answerTime = 8 * time.Second
	// stallTime is how long a connection may carry no byte in either direction
	// while a request is on: a store that takes longer is taken for hung.
	stallTime = 30 * time.Second
	// attempts is how often a request is sent: a store that fails thrice within
	// a second or two is down, and callers know better how long to wait.
	attempts = 3
	// retryAfter is what callers are told to wait for a store that is down.
	retryAfter = 5 * time.Second
)

// Store keeps blobs in one bucket. All methods may be called from any number
// of goroutines. Make one with Open; close it.
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

// Close lets idle connections go.
func (s *Store) Close() error {
	s.transport.CloseIdleConnections()
	return nil
}

// Delete removes a blob; see logs.Store.
func (s *Store) Delete(ctx context.Context, id logservice.ID) error {
	name, _, err := s.name(id)
	if err != nil {
		return err
	}
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

// SignPut returns a URL that takes the blob of id by HTTP PUT for ttl; see
// logs.Signer.
func (s *Store) SignPut(ctx context.Context, id logservice.ID, ttl time.Duration) (string, error) {
	name, cut, err := s.name(id)
	if err != nil {
		return "", err
	}
	if cut {
		// Whoever uses the link would have to send the key along.
		return "", logservice.ErrUnsupported
	}
	u, err := s.links.PresignedPutObject(ctx, s.bucket, name, ttl)
	if err != nil {
		return "", s.fault(ctx, "sign a link", err)
	}
	return u.String(), nil
}

// SignGet returns a URL that gives the blob of id to HTTP GET for ttl; see
// logs.Signer.
func (s *Store) SignGet(ctx context.Context, id logservice.ID, ttl time.Duration) (string, error) {
	name, _, err := s.name(id)
	if err != nil {
		return "", err
	}
	// Whatever type an uploader gave it, browsers shall not run it.
	u, err := s.links.PresignedGetObject(ctx, s.bucket, name, ttl, map[string][]string{"response-content-type": {contentType}})
	if err != nil {
		return "", s.fault(ctx, "sign a link", err)
	}
	return u.String(), nil
}

func (s *Store) name(id logservice.ID) (name string, cut bool, err error) {
	if err := id.Check(); err != nil {
		return "", false, err
	}
	name, cut = s.names.of(id)
	return name, cut, nil
}
