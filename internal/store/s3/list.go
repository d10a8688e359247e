package s3

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/minio/minio-go/v7"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// List yields the blobs of an account; see logs.Store. In BlobInfo it sets only
// Size and Modified.
func (s *Store) List(ctx context.Context, account string, prefix logservice.Key) iter.Seq2[logs.BlobEntry, error] {
	return func(yield func(logs.BlobEntry, error) bool) {
		if err := checkListing(account, prefix); err != nil {
			yield(logs.BlobEntry{}, err)
			return
		}
		if prefix != "" {
			e, err := s.entry(ctx, logservice.ID{Account: account, Key: prefix})
			if !errors.Is(err, logservice.ErrBlobNotFound) && (!yield(e, err) || err != nil) {
				return
			}
		}
		s.listUnder(ctx, account, prefix, yield)
	}
}

func checkListing(account string, prefix logservice.Key) error {
	if err := logservice.CheckAccount(account); err != nil || prefix == "" {
		return err
	}
	_, err := logservice.ParseKey(string(prefix))
	return err
}

// entry yields the blob of id, if it exists.
func (s *Store) entry(ctx context.Context, id logservice.ID) (logs.BlobEntry, error) {
	name, _ := s.names.of(id)
	o, err := s.stat(ctx, name)
	return entryOf(id.Key, o), err
}

func entryOf(k logservice.Key, o minio.ObjectInfo) logs.BlobEntry {
	// Listings have more exact times than objects; the two should agree.
	return logs.BlobEntry{Key: k, Info: logs.BlobInfo{Size: o.Size, Modified: o.LastModified.Truncate(time.Second)}}
}

// listUnder yields the blobs below prefix, without the one at it.
func (s *Store) listUnder(ctx context.Context, account string, prefix logservice.Key, yield func(logs.BlobEntry, error) bool) {
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	// Only the store's own time counts, not that of the consumer of the
	// entries.
	late := time.AfterFunc(answerTime, cancel)
	defer late.Stop()
	folder := s.names.account(account)
	objects := s.client.ListObjectsIter(limited, s.bucket, minio.ListObjectsOptions{Prefix: s.names.under(account, prefix), Recursive: true})
	for o := range objects {
		late.Stop()
		if o.Err != nil {
			yield(logs.BlobEntry{}, s.fault(ctx, "list", o.Err))
			return
		}
		e, ok, err := s.listed(ctx, folder, o)
		if ok && err == nil && (!e.Key.Under(prefix) || e.Key == prefix && prefix != "") {
			ok = false
		}
		if cause := context.Cause(ctx); cause != nil && err == nil {
			ok, err = true, cause
		}
		if (ok || err != nil) && (!yield(e, err) || err != nil) {
			return
		}
		late.Reset(answerTime)
	}
}

// listed returns the blob of a listed object; ok is false if it is not a blob.
func (s *Store) listed(ctx context.Context, folder string, o minio.ObjectInfo) (e logs.BlobEntry, ok bool, err error) {
	k, cut, ok := key(folder, o.Key)
	if !ok || !cut {
		return entryOf(k, o), ok, nil
	}
	o, err = s.stat(ctx, o.Key)
	if errors.Is(err, logservice.ErrBlobNotFound) {
		return e, false, nil // deleted meanwhile
	}
	if err != nil {
		return e, false, err
	}
	k, err = keyOf(o)
	return entryOf(k, o), err == nil, nil
}
