package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/joho/godotenv"

	"github.com/harness/log-service/internal/setting"
)

// maxEnvFile limits the size of an environment file: real ones take a hundredth of
// it. Naming a log or a device by mistake is reported at once.
const maxEnvFile = 256 << 10

// Environ returns the environment for Load: the variables of the .env file,
// overridden by environ, which has the form of os.Environ. If file is empty, no
// file is read; a missing file is an error only if required is set. The
// environment of the process does not change.
func Environ(environ []string, file string, required bool) (setting.Env, error) {
	env := setting.Env{}
	if file != "" {
		read, err := readEnvFile(file)
		switch {
		case errors.Is(err, fs.ErrNotExist) && !required:
		case err != nil:
			return nil, fmt.Errorf("environment file %s: %w", file, err)
		default:
			env = read
		}
	}
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			env[name] = value
		}
	}
	return env, nil
}

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
