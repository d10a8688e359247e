package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

const (
	// maxRevokedFile bounds the list of revoked tokens: half a million of
	// them. Expired ones can be taken out.
	maxRevokedFile = 16 << 20
	// maxTokenID bounds the name of a token in it.
	maxTokenID = 255
)

// revokedSet holds the names of revoked tokens.
type revokedSet map[string]struct{}

// readRevoked reads a list of token ids, one a line; what follows a # or a
// space is a comment. A list that does not exist is empty.
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
