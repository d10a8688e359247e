package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/harness/log-service/client"
)

type linkFlags struct {
	noArgument
	outputFlag
	Expires time.Duration `placeholder:"TIME" help:"How long the URL works (1h; at most 24h)."`
}

type uploadLink struct{ linkFlags }

func (uploadLink) help() string {
	return example("log-service cistore upload-link 1 2 3 4",
		`curl --upload-file build.ndjson "$(log-service cistore upload-link 1 2 3 4)"`)
}

func (uploadLink) idExample() string { return `log-service store upload-link default "" 1/2/3/4` }

type downloadLink struct{ linkFlags }

func (downloadLink) help() string {
	return example("log-service cistore download-link 1 2 3 4",
		`curl "$(log-service cistore download-link 1 2 3 4 --expires 10m)"`)
}

func (downloadLink) idExample() string { return `log-service store download-link default "" 1/2/3/4` }

func (f uploadLink) run(ctx context.Context, s *session, t target, _ *string) error {
	return f.print(s, t, func(c *client.Client) (client.Link, error) { return c.UploadLink(ctx, t.key, f.Expires) },
		"curl --upload-file FILE '%s'")
}

func (f downloadLink) run(ctx context.Context, s *session, t target, _ *string) error {
	return f.print(s, t, func(c *client.Client) (client.Link, error) { return c.DownloadLink(ctx, t.key, f.Expires) },
		"curl '%s'")
}

// print prints the bare URL to standard output, for scripts, and how to use it to
// standard error, for people.
func (f *linkFlags) print(s *session, t target, get func(*client.Client) (client.Link, error), usage string) error {
	if f.Expires < 0 {
		return usagef("--expires %v is negative", f.Expires)
	}
	c, err := s.client(t, oneShot)
	if err != nil {
		return err
	}
	link, err := get(c)
	if err != nil {
		return err
	}
	address, err := safeURL(link.URL)
	if err != nil {
		return err
	}
	if f.Output == outputJSON {
		return json.NewEncoder(s.Stdout).Encode(map[string]string{"url": address, "expires": link.Expires.String()})
	}
	if !s.root.Quiet {
		fmt.Fprintf(s.Stderr, usage+"   # works for %s\n", address, link.Expires)
	}
	_, err = fmt.Fprintln(s.Stdout, address)
	return err
}

// safeURL checks a URL that a server sent, and encodes every character in it that
// means something to a shell or a terminal: people paste it there. The URL stays
// equivalent.
func safeURL(link string) (string, error) {
	u, err := url.Parse(link)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return "", fmt.Errorf("the server sent a link that is not an http or https URL: %q", oneLine(link[:min(len(link), 200)]))
	case u.User != nil:
		return "", errors.New("the server sent a link with a user in it, which no log service does")
	}
	var safe strings.Builder
	for i := range len(link) {
		c := link[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("-._~:/?#[]@&=+,%", c) >= 0:
			safe.WriteByte(c)
		default:
			fmt.Fprintf(&safe, "%%%02X", c)
		}
	}
	if _, err := url.Parse(safe.String()); err != nil { // such as a host with such a character
		return "", fmt.Errorf("the server sent a link whose host is none: %q", oneLine(u.Host))
	}
	return safe.String(), nil
}
