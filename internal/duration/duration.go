// Package duration parses durations as people write them: those of Go, and days
// and weeks.
package duration

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

const day = 24 * time.Hour

// Parse is time.ParseDuration with the units d, of 24 hours, and w, of 7 days:
// 1d, 1d12h, 2.5d.
func Parse(s string) (time.Duration, error) {
	rest, negative := strings.CutPrefix(s, "-")
	var sum time.Duration
	for rest != "" {
		n := strings.IndexFunc(rest, func(c rune) bool { return (c < '0' || c > '9') && c != '.' })
		if n < 0 {
			n = len(rest)
		}
		end := n
		for end < len(rest) && rest[end] != '.' && (rest[end] < '0' || rest[end] > '9') {
			end++
		}
		part, err := parsePart(rest[:n], rest[n:end])
		if err != nil || sum+part < sum || n == 0 {
			break
		}
		if sum, rest = sum+part, rest[end:]; rest == "" {
			if negative {
				sum = -sum
			}
			return sum, nil
		}
	}
	return 0, fmt.Errorf("%q is not a duration: write it like 90s, 15m, 1h30m or 7d", s)
}

func parsePart(number, unit string) (time.Duration, error) {
	whole := map[string]time.Duration{"d": day, "w": 7 * day}[unit]
	if whole == 0 {
		return time.ParseDuration(number + unit)
	}
	n, err := strconv.ParseFloat(number, 64)
	if err != nil || n > float64(1<<62)/float64(whole) {
		return 0, fmt.Errorf("number %q", number)
	}
	return time.Duration(n * float64(whole)), nil
}
