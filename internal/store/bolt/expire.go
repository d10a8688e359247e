package bolt

import (
	"bytes"
	"context"
	"time"

	"go.etcd.io/bbolt"

	logservice "github.com/harness/log-service"
)

const (
	// expirePage is how many records one transaction of a search looks at, or
	// deletes.
	expirePage = 128
	// expirePause is the rest between two of them: a million blobs take some
	// minutes, and nobody else notices.
	expirePause = 20 * time.Millisecond
)

// Expire deletes the blobs that were stored before a time, and says how many;
// see logs.Expirer. A record that is damaged stays, and so does what engines
// keep for themselves.
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

// expired finds keys of blobs that are older, among the page of records from
// a key on, and where the next page begins; nil is the end.
func (s *Store) expired(from []byte, before time.Time) (old [][]byte, next []byte, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		seen := 0
		c := tx.Bucket(bucketBlobs).Cursor()
		for key, value := c.Seek(from); key != nil; key, value = c.Next() {
			if seen == expirePage {
				next = bytes.Clone(key)
				break
			}
			seen++
			if olderThan(key, value, before) {
				old = append(old, bytes.Clone(key))
			}
		}
		return nil
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
// again since they were found.
func (s *Store) expire(ctx context.Context, keys [][]byte, before time.Time) (n int, err error) {
	var gone []record
	err = s.submit(ctx, &op{frees: true, apply: func(tx *bbolt.Tx) error {
		gone, n = gone[:0], 0
		b := tx.Bucket(bucketBlobs)
		for _, key := range keys {
			if value := b.Get(key); value == nil || !olderThan(key, value, before) {
				continue
			}
			old, err := s.unlink(tx, key)
			if err != nil {
				return err
			}
			if err := b.Delete(key); err != nil {
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
