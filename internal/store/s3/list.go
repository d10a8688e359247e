package s3

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
)

// List yields the logs of an account; see logs.Store. In BlobInfo it sets only
// Attempt, Size and Modified.
func (s *Store) List(ctx context.Context, account string, prefix logservice.Key) iter.Seq2[logs.BlobEntry, error] {
	return logs.PerLog(func(yield func(logs.BlobEntry, error) bool) {
		if err := checkListing(account, prefix); err != nil {
			yield(logs.BlobEntry{}, err)
			return
		}
		if prefix != "" {
			all, err := s.attempts(ctx, logservice.ID{Account: account, Key: prefix})
			if err != nil {
				yield(logs.BlobEntry{}, err)
				return
			}
			for i := range all {
				if !yield(logs.BlobEntry{Key: prefix, Info: all[i].info}, nil) {
					return
				}
			}
		}
		starts := []string{""}
		if prefix != "" {
			starts = prefix.Below()
		}
		for _, start := range starts {
			if !s.listStarting(ctx, account, start, yield) {
				return
			}
		}
	})
}

func checkListing(account string, prefix logservice.Key) error {
	if err := logservice.CheckAccount(account); err != nil || prefix == "" {
		return err
	}
	_, err := logservice.ParseKey(string(prefix))
	return err
}

// stored is an attempt of a log in the bucket.
type stored struct {
	name string
	info logs.BlobInfo
}

// attempts lists the attempts of a log in order.
func (s *Store) attempts(ctx context.Context, id logservice.ID) ([]stored, error) {
	if err := id.Check(); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	stem, _ := s.names.stem(id)
	folder := s.names.account(id.Account)
	var all []stored
	for o := range s.client.ListObjectsIter(limited, s.bucket, minio.ListObjectsOptions{Prefix: stem, Recursive: true}) {
		if o.Err != nil {
			return nil, s.fault(ctx, "list", o.Err)
		}
		if n, ok := parse(folder, o.Key); ok {
			all = append(all, stored{o.Key, listedInfo(o, n.attempt)})
		}
	}
	slices.SortFunc(all, func(a, b stored) int { return cmp.Compare(a.info.Attempt, b.info.Attempt) })
	return all, nil
}

// newest returns the newest attempt of a log.
func (s *Store) newest(ctx context.Context, id logservice.ID) (stored, error) {
	all, err := s.attempts(ctx, id)
	if err == nil && len(all) == 0 {
		err = logservice.ErrBlobNotFound
	}
	if err != nil {
		return stored{}, err
	}
	return all[len(all)-1], nil
}

// Attempts describes the attempts of a log; see logs.Store.
func (s *Store) Attempts(ctx context.Context, id logservice.ID) ([]logs.BlobInfo, error) {
	all, err := s.attempts(ctx, id)
	infos := make([]logs.BlobInfo, len(all))
	for i := range all {
		infos[i] = all[i].info
	}
	return infos, err
}

// listStarting yields the attempts of the logs whose keys start with start, which
// may be empty. It returns false once nothing more may be yielded.
func (s *Store) listStarting(ctx context.Context, account, start string, yield func(logs.BlobEntry, error) bool) bool {
	limited, cancel := context.WithCancel(ctx)
	defer cancel()
	// Only the store's own time counts, not that of the consumer of the
	// entries.
	late := time.AfterFunc(answerTime, cancel)
	defer late.Stop()
	folder := s.names.account(account)
	objects := s.client.ListObjectsIter(limited, s.bucket, minio.ListObjectsOptions{Prefix: s.names.starting(account, start), Recursive: true})
	for o := range objects {
		late.Stop()
		if o.Err != nil {
			yield(logs.BlobEntry{}, s.fault(ctx, "list", o.Err))
			return false
		}
		e, ok, err := s.listed(ctx, folder, o)
		if ok && err == nil && !strings.HasPrefix(string(e.Key), start) {
			ok = false
		}
		if cause := context.Cause(ctx); cause != nil && err == nil {
			ok, err = true, cause
		}
		if (ok || err != nil) && (!yield(e, err) || err != nil) {
			return false
		}
		late.Reset(answerTime)
	}
	return true
}

// listed returns the attempt in a listed object; ok is false if it is none.
func (s *Store) listed(ctx context.Context, folder string, o minio.ObjectInfo) (e logs.BlobEntry, ok bool, err error) {
	n, ok := parse(folder, o.Key)
	if !ok || n.key != "" {
		return logs.BlobEntry{Key: n.key, Info: listedInfo(o, n.attempt)}, ok, nil
	}
	o, err = s.stat(ctx, o.Key)
	if errors.Is(err, logservice.ErrBlobNotFound) {
		return e, false, nil // deleted meanwhile
	}
	if err != nil {
		return e, false, err
	}
	k, err := keyOf(o)
	return logs.BlobEntry{Key: k, Info: listedInfo(o, n.attempt)}, err == nil, nil
}

// listedInfo is what a listing says about an attempt.
func listedInfo(o minio.ObjectInfo, attempt int64) logs.BlobInfo {
	// Listings have more exact times than objects; the two should agree.
	return logs.BlobInfo{Attempt: attempt, Size: o.Size, Modified: o.LastModified.Truncate(time.Second)}
}
