//go:build linux

package bolt

import (
	"encoding/binary"
	"os"
	"testing"
	"time"
)

// TestARebuildEndsInSpiteOfACycle makes each branch page in turn refer to itself.
func TestARebuildEndsInSpiteOfACycle(t *testing.T) {
	path := dataFile(t)
	sampleFolder(t, path)
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	tried := 0
	for _, page := range usedPages(t, path) {
		b := file[page*pageSize:]
		if binary.LittleEndian.Uint16(b[8:]) != branchFlag {
			continue
		}
		tried++
		first := b[pageHeader+8:]
		old := binary.LittleEndian.Uint64(first)
		binary.LittleEndian.PutUint64(first, uint64(page))
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		binary.LittleEndian.PutUint64(first, old)
		h, err := openBolt(path, true)
		if err != nil {
			t.Fatal(err)
		}
		found, done := make(map[string]bool), make(chan error, 1)
		go func() {
			lost, err := (&salvage{from: h, bucket: bucketBlobs, put: func(k, _ []byte) error { found[string(k)] = true; return nil }}).run()
			if lost == nil {
				t.Error("the cycle is not noticed")
			}
			done <- err
		}()
		select {
		case err := <-done:
			if err != nil || len(found) != 42 {
				t.Errorf("%d of 42 entries are found, %v", len(found), err)
			}
		case <-time.After(time.Minute):
			t.Fatal("the rebuild does not end")
		}
		if err := h.db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if tried == 0 {
		t.Error("no branch page: it proves nothing")
	}
}
