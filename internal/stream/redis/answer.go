package redis

import (
	"strconv"

	"github.com/redis/rueidis"
)

// answer is the array that a script returned. Unexpected values read as zero:
// scripts and readers are of one version.
type answer []rueidis.RedisMessage

func (a answer) int(i int) int64 {
	if i >= len(a) {
		return 0
	}
	n, err := a[i].AsInt64()
	if err != nil { // a number that Redis stores as text
		s, _ := a[i].ToString()
		n, _ = strconv.ParseInt(s, 10, 64)
	}
	return n
}

func (a answer) text(i int) string {
	if i >= len(a) {
		return ""
	}
	s, _ := a[i].ToString()
	return s
}

// has reports whether the i-th member exists and has a value.
func (a answer) has(i int) bool { return i < len(a) && !a[i].IsNil() }

func (a answer) list(i int) answer {
	if i >= len(a) {
		return nil
	}
	l, _ := a[i].ToArray()
	return l
}

// orFirst reads a field of a stream, n or b, that older versions do not set; it
// is then 1.
func orFirst(n int64) int64 { return max(n, 1) }

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
