package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/harness/log-service/client"
)

type linkFlags struct {
	Expires time.Duration `placeholder:"TIME" help:"How long the URL works (1h; at most 24h)."`
}

type ciUploadLink struct {
	ciKey
	linkFlags
}

func (*ciUploadLink) Help() string {
	return example("log-service cistore upload-link 1 2 3 4",
		`curl --upload-file build.ndjson "$(log-service cistore upload-link 1 2 3 4)"`)
}

func (c *ciUploadLink) Run(ctx context.Context, s *session) error {
	t, err := c.only(s)
	if err != nil {
		return err
	}
	return c.upload(ctx, s, t)
}

type idUploadLink struct {
	idKey
	linkFlags
}

func (*idUploadLink) Help() string {
	return example(`log-service store upload-link default "" 1/2/3/4`)
}

func (c *idUploadLink) Run(ctx context.Context, s *session) error {
	t, err := c.resolve()
	if err != nil {
		return err
	}
	return c.upload(ctx, s, t)
}

type ciDownloadLink struct {
	ciKey
	linkFlags
}

func (*ciDownloadLink) Help() string {
	return example("log-service cistore download-link 1 2 3 4",
		`curl "$(log-service cistore download-link 1 2 3 4 --expires 10m)"`)
}

func (c *ciDownloadLink) Run(ctx context.Context, s *session) error {
	t, err := c.only(s)
	if err != nil {
		return err
	}
	return c.download(ctx, s, t)
}

type idDownloadLink struct {
	idKey
	linkFlags
}

func (*idDownloadLink) Help() string {
	return example(`log-service store download-link default "" 1/2/3/4`)
}

func (c *idDownloadLink) Run(ctx context.Context, s *session) error {
	t, err := c.resolve()
	if err != nil {
		return err
	}
	return c.download(ctx, s, t)
}

func (f *linkFlags) upload(ctx context.Context, s *session, t target) error {
	return f.print(s, t, func(c *client.Client) (client.Link, error) { return c.UploadLink(ctx, t.key, f.Expires) },
		"curl --upload-file FILE '%s'")
}

func (f *linkFlags) download(ctx context.Context, s *session, t target) error {
	return f.print(s, t, func(c *client.Client) (client.Link, error) { return c.DownloadLink(ctx, t.key, f.Expires) },
		"curl '%s'")
}

// print prints the address alone to standard output, for scripts, and how to
// use it beside it, for people.
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
