package bolt

import (
	"bytes"
	"context"
	"time"

	logservice "github.com/harness/log-service"
)

const (
	// expirePage is how many records one transaction checks or deletes.
	expirePage = 128
	// expirePause is the pause between two transactions: expiring a million
	// blobs takes some minutes, and does not affect other callers.
	expirePause = 20 * time.Millisecond
)

// Expire deletes the blobs stored before a time, and returns their number; see
// logs.Expirer. Damaged records are kept, and so are the engines' own blobs.
func (s *Store) Expire(ctx context.Context, before time.Time) (n int, err error) {
	pause := time.NewTicker(expirePause)
	defer pause.Stop()
	for next := []byte{}; next != nil; {
		var old [][]byte
		if old, next, err = s.expired(next, before); err != nil {
			return n, err
		}
		if len(old) > 0 {
			gone, err := s.expire(ctx, old, before)
			n += gone
			if err != nil {
				return n, err
			}
		}
		select {
		case <-pause.C:
		case <-s.stop:
			return n, errClosed
		case <-ctx.Done():
			return n, context.Cause(ctx)
		}
	}
	return n, nil
}

// expired returns the keys of older blobs in the page of records starting at a
// key, and the start of the next page; nil means the end.
func (s *Store) expired(from []byte, before time.Time) (old [][]byte, next []byte, err error) {
	err = s.view(func(tx *txn) error {
		seen := 0
		return tx.scan(bucketBlobs, from, func(key, value []byte) bool {
			if seen == expirePage {
				next = bytes.Clone(key)
				return false
			}
			seen++
			if olderThan(key, value, before) {
				old = append(old, bytes.Clone(key))
			}
			return true
		})
	})
	return old, next, err
}

var internalBlobs = append([]byte(logservice.InternalAccount), 0)

func olderThan(key, value []byte, before time.Time) bool {
	if bytes.HasPrefix(key, internalBlobs) {
		return false
	}
	rec, err := decodeRecord(key, value)
	return err == nil && rec.info.Modified.Before(before)
}

// expire deletes those of keys that are still old: some may have been stored
// again in the meantime.
func (s *Store) expire(ctx context.Context, keys [][]byte, before time.Time) (n int, err error) {
	var gone []record
	err = s.submit(ctx, &op{frees: true, apply: func(tx *txn) error {
		gone, n = gone[:0], 0
		for _, key := range keys {
			value, err := tx.get(bucketBlobs, key)
			if err != nil {
				return err
			}
			if value == nil || !olderThan(key, value, before) {
				continue
			}
			old, err := s.unlink(tx, key)
			if err != nil {
				return err
			}
			if err := tx.delete(bucketBlobs, key); err != nil {
				return err
			}
			gone = append(gone, old)
			n++
		}
		return nil
	}})
	if err != nil {
		return 0, err
	}
	s.remove(gone...)
	return n, nil
}
