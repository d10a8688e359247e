package setting

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
)

var errSize = errors.New("want a size in bytes, for example 64MiB, 64Mi or 67108864")

// ParseSize parses a size in bytes: a number followed by an optional unit, which is
// B for bytes, K, M or G (kB, MB, GB) for powers of 1000, Ki, Mi or Gi (KiB, MiB,
// GiB) for powers of 1024. These are the units of Kubernetes quantities and of IEC
// 80000-13. Case is ignored.
func ParseSize(s string) (int64, error) {
	digits := strings.TrimRight(s, "bBkKmMgGiI ")
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || digits[0] == '+' {
		return 0, errSize
	}
	var unit int64
	switch strings.TrimSuffix(strings.ToLower(strings.TrimSpace(s[len(digits):])), "b") {
	case "":
		unit = 1
	case "k":
		unit = 1e3
	case "m":
		unit = 1e6
	case "g":
		unit = 1e9
	case "ki":
		unit = 1 << 10
	case "mi":
		unit = 1 << 20
	case "gi":
		unit = 1 << 30
	default:
		return 0, errSize
	}
	if n > math.MaxInt64/unit {
		return 0, errSize
	}
	return n * unit, nil
}

// FormatSize formats n in the largest binary unit that divides it, so that
// ParseSize returns exactly n.
func FormatSize(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB"}
	i := 0
	for n != 0 && n%1024 == 0 && i < len(units)-1 {
		n /= 1024
		i++
	}
	return fmt.Sprintf("%d%s", n, units[i])
}
