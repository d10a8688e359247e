package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
)

type infoCmd struct {
	Key []string `arg:"" optional:"" help:"Only this log, or those below: any of project, build, stage and step, or a path."`
	outputFlag
}

func (*infoCmd) Help() string {
	return example("log-service cistream info", "log-service cistream info 1 2 3 4 -o json")
}

func (c *infoCmd) Run(ctx context.Context, s *session) error {
	t := target{account: s.root.Account, token: s.root.Token}
	if len(c.Key) > 0 {
		key, err := logservice.ParseKey(strings.Join(c.Key, "/"))
		if err != nil {
			return &usage{err: err}
		}
		t.key = key
	}
	return c.info(ctx, s, t)
}

type idInfoCmd struct {
	AccountID string `arg:"" name:"accountID" help:"Account."`
	Token     string `arg:"" help:"Token, \"\" for a server without authentication."`
	outputFlag
}

func (*idInfoCmd) Help() string { return example(`log-service stream info default ""`) }

func (c *idInfoCmd) Run(ctx context.Context, s *session) error {
	return c.info(ctx, s, target{account: c.AccountID, token: c.Token})
}

func (f *outputFlag) info(ctx context.Context, s *session, t target) error {
	c, err := s.client(t, oneShot)
	if err != nil {
		return err
	}
	var opts []client.InfoOption
	if t.key != "" {
		opts = append(opts, client.Under(t.key))
	}
	all, err := c.Info(ctx, opts...)
	if err != nil {
		return err
	}
	var infos []client.StreamInfo
	for _, i := range all { // an older server does not know the prefix
		if i.Key.Under(t.key) {
			infos = append(infos, i)
		}
	}
	if len(infos) == 0 && t.key != "" {
		return fmt.Errorf("info of %s: %w", t.key, logservice.ErrStreamNotFound)
	}
	if f.Output == "json" {
		return printInfoJSON(s, infos)
	}
	return printInfoTable(s, infos)
}

// printInfoJSON prints what the server answers to GET /stream/info.
func printInfoJSON(s *session, infos []client.StreamInfo) error {
	type stream struct {
		Size        int64  `json:"size"`
		Bytes       int64  `json:"bytes"`
		Subscribers int    `json:"subscribers"`
		TTL         string `json:"ttl"`
	}
	streams := make(map[logservice.Key]stream, len(infos))
	for _, i := range infos {
		streams[i.Key] = stream{i.Lines, i.Bytes, i.Subscribers, i.TTL.String()}
	}
	return json.NewEncoder(s.Stdout).Encode(map[string]any{"streams": streams})
}

func printInfoTable(s *session, infos []client.StreamInfo) error {
	// Keys are what others chose: no more than text of them.
	out := newFilter(s.Stdout, false)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tSIZE\tBYTES\tSUBSCRIBERS\tTTL")
	for _, i := range infos {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s\n", i.Key, i.Lines, i.Bytes, i.Subscribers, i.TTL.Round(time.Second))
	}
	return w.Flush()
}
