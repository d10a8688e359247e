package bolt

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/harness/log-service/internal/logs"
)

func sampleRecord() record {
	return record{
		info:     logs.BlobInfo{Attempt: 1, Size: 1 << 40, Modified: time.Unix(1700000000, 123).UTC(), Archive: true, RawSize: 7, Lines: 9, Incomplete: true},
		encoding: encodingZstd,
		inline:   []byte("bytes"),
	}
}

func TestARecordComesBackFromItsOwnKeyOnly(t *testing.T) {
	for _, want := range []record{{info: logs.BlobInfo{Attempt: 1, Modified: time.Unix(0, 0).UTC()}, inline: []byte{}}, sampleRecord()} {
		got, err := decodeRecord([]byte("a\x00k"), want.encode([]byte("a\x00k")))
		if err != nil || !cmp.Equal(got, want, cmp.AllowUnexported(record{})) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
		if _, err := decodeRecord([]byte("a\x00K"), want.encode([]byte("a\x00k"))); err == nil {
			t.Error("a record passes for that of another blob")
		}
	}
}

// FuzzDecodeRecord: whatever the file holds, decoding ends with a record or
// an error, also where the checksum is right.
func FuzzDecodeRecord(f *testing.F) {
	good := sampleRecord()
	f.Add(good.encode([]byte("k")))
	f.Add([]byte{recordVersion, 0xff, 0x80, 0x80})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = decodeRecord([]byte("k"), b)
		sum := checksum([]byte("k"), b)
		sealed := append(append([]byte(nil), b...), byte(sum>>24), byte(sum>>16), byte(sum>>8), byte(sum))
		r, err := decodeRecord([]byte("k"), sealed)
		if err != nil {
			return
		}
		again, err := decodeRecord([]byte("k"), r.encode([]byte("k")))
		if err != nil || !cmp.Equal(again, r, cmp.AllowUnexported(record{})) {
			t.Errorf("%+v comes back as %+v, %v", r, again, err)
		}
	})
}
