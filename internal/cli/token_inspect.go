package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/config"
	"github.com/harness/log-service/internal/screen"
	"github.com/harness/log-service/internal/server"
)

// verified is the result of verifying a token under some server's settings.
type verified struct {
	words string
	grant auth.Grant
	err   error // why the token is rejected
}

// verification verifies a token as a server with these settings would.
func verification(ctx context.Context, settings config.Config, token string) verified {
	v, err := server.NewVerifier(settings, slog.New(slog.DiscardHandler))
	switch {
	case err != nil:
		return verified{words: "not verified: " + err.Error()}
	case v == nil:
		return verified{words: "not verified: no settings of a server are here"}
	}
	g, err := v.Verify(ctx, token)
	switch {
	case errors.Is(err, logservice.ErrUnavailable):
		return verified{words: "not verified: " + err.Error()}
	case err != nil:
		return verified{words: "refused: " + err.Error(), err: err}
	}
	return verified{words: "good", grant: g}
}

// tokenView is the printed form of a token.
type tokenView struct {
	Kind      string          `json:"kind"`
	ID        string          `json:"id,omitempty"`
	Accounts  string          `json:"account,omitempty"`
	All       bool            `json:"all_accounts,omitempty"`
	Prefix    string          `json:"prefix,omitempty"`
	Verbs     []string        `json:"verbs,omitempty"`
	Expires   *time.Time      `json:"expires,omitempty"`
	Algorithm string          `json:"algorithm,omitempty"`
	KeyID     string          `json:"key_id,omitempty"`
	Verified  string          `json:"verified"`
	Claims    json.RawMessage `json:"claims,omitempty"`
}

func view(i auth.Inspection, v verified) tokenView {
	g := i.Grant
	if v.grant.Verbs != 0 { // for an identity token only the server knows
		g = v.grant
	}
	t := tokenView{
		Kind: i.Kind, ID: g.ID, Accounts: g.Account, All: g.AllAccounts, Prefix: string(g.Prefix), Verbs: g.Verbs.Names(),
		Algorithm: i.Algorithm, KeyID: i.KeyID, Verified: v.words, Claims: i.Claims,
	}
	if !g.Expires.IsZero() {
		until := g.Expires.UTC()
		t.Expires = &until
	}
	return t
}

func printTokenJSON(s *session, i auth.Inspection, v verified) error {
	return json.NewEncoder(s.Stdout).Encode(view(i, v))
}

func printToken(s *session, i auth.Inspection, v verified) error {
	t := view(i, v)
	// Others wrote the content: print it as plain text.
	w := tabwriter.NewWriter(screen.NewWriter(s.Stdout, false), 0, 0, 2, ' ', 0)
	line := func(name, value string) {
		if value != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, value)
		}
	}
	line("kind", t.Kind)
	line("id", t.ID)
	if t.All {
		line("account", "(all accounts)")
	}
	line("account", t.Accounts)
	switch {
	case t.Prefix != "":
		line("logs", "at and below "+t.Prefix)
	case t.All || t.Accounts != "":
		line("logs", "all")
	}
	line("may", strings.Join(t.Verbs, ", "))
	if t.Expires != nil {
		line("expires", t.Expires.Format(time.RFC3339)+", "+until(*t.Expires))
	}
	line("signed", strings.TrimSpace(t.Algorithm+" "+t.KeyID))
	if i.Kind == auth.KindIdentity {
		line("claims", string(t.Claims))
	}
	line("verified", t.Verified)
	return w.Flush()
}

// until describes how far away a time is.
func until(t time.Time) string {
	left := time.Until(t).Round(time.Second)
	if left < 0 {
		return "which was " + (-left).String() + " ago"
	}
	return "in " + left.String()
}
