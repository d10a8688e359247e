package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/client"
)

type infoCmd struct {
	Key []string `arg:"" optional:"" help:"List only logs at and below this key: project, build, stage, step or the first of these, or a path."`
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
	Token     string `arg:"" help:"Token; \"\" for a server without authentication."`
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
	live, err := c.Live(ctx, opts...)
	if err != nil {
		return err
	}
	if len(live.Streams) == 0 && live.Waiting == 0 && t.key != "" {
		return fmt.Errorf("info of %s: %w", t.key, logservice.ErrStreamNotFound)
	}
	if f.Output == "json" {
		return printInfoJSON(s, live)
	}
	return printInfoTable(s, live)
}

// printInfoJSON prints the response of GET /stream/info.
func printInfoJSON(s *session, live client.Live) error {
	type stream struct {
		Size        int64  `json:"size"`
		Bytes       int64  `json:"bytes"`
		Subscribers int    `json:"subscribers"`
		TTL         string `json:"ttl"`
		Node        string `json:"node,omitempty"`
	}
	streams := make(map[logservice.Key]stream, len(live.Streams))
	for _, i := range live.Streams {
		streams[i.Key] = stream{i.Lines, i.Bytes, i.Subscribers, i.TTL.String(), i.Node}
	}
	answer := map[string]any{"streams": streams}
	if live.Waiting > 0 {
		answer["archiving"] = map[string]int{"waiting": live.Waiting, "failing": live.Failing}
	}
	return json.NewEncoder(s.Stdout).Encode(answer)
}

func printInfoTable(s *session, live client.Live) error {
	w := tabwriter.NewWriter(s.Stdout, 0, 0, 2, ' ', 0)
	nodes := slices.ContainsFunc(live.Streams, func(i client.StreamInfo) bool { return i.Node != "" })
	head := "KEY\tSIZE\tBYTES\tSUBSCRIBERS\tTTL"
	if nodes {
		head += "\tNODE"
	}
	fmt.Fprintln(w, head)
	for _, i := range live.Streams {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%s", oneLine(string(i.Key)), i.Lines, i.Bytes, i.Subscribers, i.TTL.Round(time.Second))
		if nodes {
			fmt.Fprintf(w, "\t%s", oneLine(i.Node))
		}
		fmt.Fprintln(w)
	}
	if live.Waiting > 0 {
		fmt.Fprintf(s.Stderr, "closed and not archived yet: %d; of these, failed and being retried: %d\n", live.Waiting, live.Failing)
	}
	return w.Flush()
}
