package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/harness/log-service/client"
)

type linkFlags struct {
	noArgument
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
	if !s.root.Quiet {
		fmt.Fprintf(s.Stderr, usage+"   # works for %s\n", link.URL, link.Expires)
	}
	_, err = fmt.Fprintln(s.Stdout, link.URL)
	return err
}
