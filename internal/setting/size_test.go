package setting_test

import (
	"testing"

	"github.com/harness/log-service/internal/setting"
)

func TestSizesHaveUnits(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "17": 17, "17B": 17, "64k": 64e3, "64kB": 64e3, "64KiB": 64 << 10, "3M": 3e6, "3MB": 3e6,
		"3Mi": 3 << 20, "256mib": 256 << 20, "2 GiB": 2 << 30, "2G": 2e9,
	} {
		if n, err := setting.ParseSize(s); err != nil || n != want {
			t.Errorf("%q is %d, %v; want %d", s, n, err, want)
		}
	}
	for _, s := range []string{"", "MiB", "-1", "+1", "1.5GiB", "1TiB", "1 2", "0x10", "1bb", "1iM", "99999999999GiB", "9223372036854775808"} {
		if n, err := setting.ParseSize(s); err == nil {
			t.Errorf("%q was read as %d", s, n)
		}
	}
	for _, n := range []int64{0, 1, 1000, 1024, 1 << 20, 3 << 29, 1 << 40} {
		if got, err := setting.ParseSize(setting.FormatSize(n)); err != nil || got != n {
			t.Errorf("%d is written %s and read back as %d, %v", n, setting.FormatSize(n), got, err)
		}
	}
}

// FuzzSize: an accepted size survives formatting and parsing.
func FuzzSize(f *testing.F) {
	for _, s := range []string{"0", "17", "64k", "64KiB", "3MB", "2 GiB", "-1", "+1", "1.5G", "99999999999GiB", "", " ", "MiB"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := setting.ParseSize(s)
		if err != nil {
			return
		}
		if again, err := setting.ParseSize(setting.FormatSize(n)); err != nil || again != n || n < 0 {
			t.Errorf("%q is %d, written %s and read as %d, %v", s, n, setting.FormatSize(n), again, err)
		}
	})
}
