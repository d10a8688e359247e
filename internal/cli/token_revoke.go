package cli

import (
	"fmt"
	"os"
	"strings"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/auth"
)

type tokenRevoke struct {
	tokenArgument
	File string `placeholder:"FILE" help:"List to add it to (LOG_SERVICE_REVOKED_TOKENS)."`
	serverSettings
}

func (*tokenRevoke) Help() string {
	return "Give the token itself, or its id as \"token inspect\" prints it. The server checks the list once per second.\n\n" +
		example("log-service token revoke ID --file /etc/log-service/revoked", "log-service token revoke -")
}

func (c *tokenRevoke) Run(s *session) error {
	id, err := c.read(s)
	if err != nil {
		return err
	}
	if i, err := auth.Inspect(id); err == nil {
		id = i.Grant.ID
	}
	if strings.ContainsAny(id, " \t\r\n#") || len(id) > 255 {
		return usagef("%q is neither a token nor the id of one", id)
	}
	if c.File == "" {
		settings, err := c.load(s)
		if err != nil {
			return err
		}
		c.File = settings.Auth.RevokedTokens
	}
	if c.File == "" {
		return &usage{err: fmt.Errorf("no list: LOG_SERVICE_REVOKED_TOKENS is not set"), hint: "name the file with --file"}
	}
	if err := appendLine(c.File, id); err != nil {
		return err
	}
	if !s.root.Quiet {
		fmt.Fprintf(s.Stderr, "revoked %s in %s\n", id, c.File)
	}
	return nil
}

// appendLine appends a line to a file, even if its last line is unterminated.
func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if n := info.Size(); n > 0 {
		last := make([]byte, 1)
		if _, err := f.ReadAt(last, n-1); err != nil {
			return err
		}
		if last[0] != '\n' {
			line = "\n" + line
		}
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		return err
	}
	return f.Sync()
}

// parseOptionalKey is ParseKey, but allows an empty key.
func parseOptionalKey(s string) (logservice.Key, error) {
	if s == "" {
		return "", nil
	}
	return logservice.ParseKey(s)
}
