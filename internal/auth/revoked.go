package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
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

// readRevoked reads a list of token IDs, one per line. Text after a # or a
// space is a comment. A file that does not exist is an empty list.
func readRevoked(paths []string) (*revokedSet, error) {
	set := revokedSet{}
	for _, path := range paths {
		text, err := readSmall(path, maxRevokedFile)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("revoked tokens: %w", err)
		}
		if err := set.parse(text); err != nil {
			return nil, fmt.Errorf("revoked tokens: %s: %w", path, err)
		}
	}
	return &set, nil
}

func (s revokedSet) parse(text []byte) error {
	n := 0
	for line := range bytes.Lines(text) {
		n++
		id, _, _ := strings.Cut(string(line), "#")
		fields := strings.Fields(id)
		if len(fields) == 0 {
			continue
		}
		if len(fields[0]) > maxTokenID {
			return fmt.Errorf("line %d: %d bytes are no token id: at most %d", n, len(fields[0]), maxTokenID)
		}
		s[fields[0]] = struct{}{}
	}
	return nil
}

func (s revokedSet) has(id string) bool {
	_, ok := s[id]
	return ok
}
