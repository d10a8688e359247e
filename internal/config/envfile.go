package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/joho/godotenv"
)

// maxEnvFile limits the size of an environment file: real ones take a hundredth of
// it. Naming a log or a device by mistake is reported at once.
const maxEnvFile = 256 << 10

// readEnvFile reads the variables of an .env file. Its errors give the line number
// and never the content, which may be secret.
func readEnvFile(name string) (map[string]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxEnvFile+1))
	if err != nil {
		return nil, err
	}
	if len(text) > maxEnvFile {
		return nil, fmt.Errorf("more than %d bytes: not a file of settings", maxEnvFile)
	}
	env, err := godotenv.Unmarshal(string(text))
	if err != nil { // it quotes the text
		return nil, fmt.Errorf("line %d: %w", brokenLine(string(text)), errNoVariable)
	}
	return env, nil
}

var errNoVariable = errors.New("want NAME=value, each on a line of its own, or \"value\" with a quote at its end")

// brokenLine returns the number of the line after the longest prefix of text that
// can be parsed.
func brokenLine(text string) int {
	lines := strings.SplitAfter(text, "\n")
	for n := len(lines) - 1; n > 0; n-- {
		if _, err := godotenv.Unmarshal(strings.Join(lines[:n], "")); err == nil {
			return n + 1
		}
	}
	return 1
}
