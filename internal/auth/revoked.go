package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
)

const (
	// maxRevokedFile limits the list of revoked tokens to about half a million.
	// Expired ones can be removed from it.
	maxRevokedFile = 16 << 20
	// maxTokenID limits a token ID in the list.
	maxTokenID = 255
)

// revokedSet holds the IDs of revoked tokens.
type revokedSet map[string]struct{}

// revokedReader reads a list of token IDs, one per line. Text after a # or a
// space is a comment. A line that is too long is logged and skipped: the others
// count. A file that does not exist yet is an empty list.
func revokedReader(log *slog.Logger) func([]string) (*revokedSet, error) {
	return func(paths []string) (*revokedSet, error) {
		set := revokedSet{}
		for _, path := range paths {
			text, err := readSmall(path, maxRevokedFile)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("revoked tokens: %w", err)
			}
			for _, n := range set.parse(text) {
				log.Error("a line of the revoked tokens is no token id and does not count: use at most 255 bytes", "file", path, "line", n)
			}
		}
		return &set, nil
	}
}

// parse adds the IDs in text, and returns the numbers of the lines that have none.
func (s revokedSet) parse(text []byte) (bad []int) {
	n := 0
	for line := range bytes.Lines(text) {
		n++
		id, _, _ := strings.Cut(string(line), "#")
		fields := strings.Fields(id)
		switch {
		case len(fields) == 0:
		case len(fields[0]) > maxTokenID:
			bad = append(bad, n)
		default:
			s[fields[0]] = struct{}{}
		}
	}
	return bad
}

func (s revokedSet) has(id string) bool {
	_, ok := s[id]
	return ok
}
