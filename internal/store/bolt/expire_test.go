package bolt

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/logs"
	"github.com/harness/log-service/internal/store/storetest"
)

// age makes a stored blob older.
func age(t *testing.T, s *Store, id logservice.ID, by time.Duration) {
	t.Helper()
	key, err := blobKey(id, 1)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.submit(t.Context(), &op{apply: func(tx *txn) error {
		rec, err := decodeRecord(key, tx.Bucket(bucketBlobs).Get(key))
		if err != nil {
			return err
		}
		rec.inline = append([]byte(nil), rec.inline...)
		rec.info.Modified = rec.info.Modified.Add(-by)
		return tx.Bucket(bucketBlobs).Put(key, rec.encode(key))
	}}); err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsOlderThanTheRetentionGoesAndNothingElse(t *testing.T) {
	path := dataFile(t)
	s := openStore(t, path)
	const n = 3*expirePage + 7
	var old, young []logservice.ID
	for i := range n {
		id := storetest.ID(fmt.Sprintf("acc%d", i%3), fmt.Sprintf("log/%d", i))
		size := 100
		if i%50 == 0 {
			size = 3 * chunkSize
		}
		put(t, s, id, storetest.Noise(size))
		if i%3 == 0 {
			age(t, s, id, 48*time.Hour)
			old = append(old, id)
		} else {
			young = append(young, id)
		}
	}
	engines := storetest.ID(logservice.InternalAccount, "part/1")
	put(t, s, engines, storetest.Noise(10))
	age(t, s, engines, 48*time.Hour)
	damaged := storetest.ID("acc", "damaged")
	put(t, s, damaged, storetest.Noise(10))
	age(t, s, damaged, 48*time.Hour)
	key, _ := blobKey(damaged, 1)
	if err := s.submit(t.Context(), &op{apply: func(tx *txn) error {
		value := append([]byte(nil), tx.Bucket(bucketBlobs).Get(key)...)
		value[3] ^= 1
		return tx.Bucket(bucketBlobs).Put(key, value)
	}}); err != nil {
		t.Fatal(err)
	}

	if got, err := s.Expire(t.Context(), time.Now().Add(-24*time.Hour)); err != nil || got != len(old) {
		t.Errorf("%d went, %v; want %d", got, err, len(old))
	}
	for _, id := range old {
		if _, err := s.Get(t.Context(), id); !errors.Is(err, logservice.ErrBlobNotFound) {
			t.Errorf("%v is still there: %v", id, err)
		}
	}
	for _, id := range append(young, engines) {
		b, err := s.Get(t.Context(), id)
		if err != nil {
			t.Fatalf("%v is gone: %v", id, err)
		}
		_ = b.Close()
	}
	if _, err := s.Get(t.Context(), damaged); !errors.Is(err, logs.ErrDamaged) {
		t.Errorf("the damaged one: %v", err)
	}
	// The files of what went are gone, too.
	large := 0
	for i := range n {
		if i%50 == 0 && i%3 != 0 {
			large++
		}
	}
	if got := len(fileNames(t, path)); got != large {
		t.Errorf("%d blob files are left, want %d", got, large)
	}
	if got, err := s.Expire(t.Context(), time.Now().Add(-24*time.Hour)); err != nil || got != 0 {
		t.Errorf("again: %d, %v", got, err)
	}
}

func TestABlobThatIsStoredAgainInTimeStays(t *testing.T) {
	s := openStore(t, dataFile(t))
	id := storetest.ID("acc", "log")
	put(t, s, id, storetest.Noise(10))
	age(t, s, id, 48*time.Hour)
	before := time.Now().Add(-24 * time.Hour)
	old, _, err := s.expired(nil, before)
	if err != nil || len(old) != 1 {
		t.Fatal(old, err)
	}
	put(t, s, id, storetest.Text(20))
	if n, err := s.expire(t.Context(), old, before); n != 0 || err != nil {
		t.Errorf("%d went, %v", n, err)
	}
	b, err := s.Get(t.Context(), id)
	if err != nil || b.Info().Size != 20 {
		t.Fatal(err)
	}
	_ = b.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Expire(ctx, time.Now()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

var _ logs.Expirer = (*Store)(nil)
