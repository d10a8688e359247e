package auth

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"

	logservice "github.com/harness/log-service"
	"github.com/harness/log-service/internal/setting"
)

// shared lists issuers from which anybody can get a token: trusting one without
// checking a claim means trusting everybody.
var shared = []string{
	"https://token.actions.githubusercontent.com", "https://gitlab.com", "https://accounts.google.com",
	"https://agent.buildkite.com", "https://oidc.circleci.com", "https://app.terraform.io",
}

// identities verifies identity tokens.
type identities struct {
	config          OIDC
	issuer          *issuer
	account, prefix template
}

func newIdentities(c OIDC, log *slog.Logger) (*identities, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	// Validated above.
	account, _ := parseTemplate(c.Account)
	prefix, _ := parseTemplate(c.Prefix)
	return &identities{config: c, issuer: newIssuer(c.Issuer, log), account: account, prefix: prefix}, nil
}

// Check returns an error, a *setting.Error, if a setting is missing or unsafe.
func (c OIDC) Check() error {
	name, value, err := c.invalid()
	if err == nil {
		return nil
	}
	return &setting.Error{Name: setting.Prefix + "OIDC_" + name, Value: value, Rule: err.Error()}
}

// invalid returns the name and the value of the first setting that is not valid,
// and why.
func (c OIDC) invalid() (name, value string, err error) {
	u, err := url.Parse(c.Issuer)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "ISSUER", c.Issuer, logservice.Invalidf("want an address such as https://issuer.example.com")
	case !safe(u):
		return "ISSUER", c.Issuer, logservice.Invalidf("not reached by https: anybody on the way could make tokens")
	case c.Audience == "":
		return "AUDIENCE", c.Audience, logservice.Invalidf("name what the tokens are made for: else those made for any other service would count here")
	case c.Account == "":
		return "ACCOUNT", c.Account, logservice.Invalidf("name the account whose logs these are, or make it of a claim in braces, such as {repository_owner}")
	case c.Verbs == 0:
		return "VERBS", "", logservice.Invalidf("name what such a token may do")
	case len(c.Claims) == 0 && slices.Contains(shared, strings.TrimSuffix(c.Issuer, "/")):
		return "CLAIMS", "", logservice.Invalidf("%s issues tokens to the public: require a claim that only yours have, such as repository_owner=acme", c.Issuer)
	}
	t, err := parseTemplate(c.Account)
	if err == nil {
		_, err = logservice.ParseAccount(t.sample())
	}
	if err != nil {
		return "ACCOUNT", c.Account, err
	}
	if t, err = parseTemplate(c.Prefix); err == nil && c.Prefix != "" {
		_, err = logservice.ParseKey(t.sample())
	}
	return "PREFIX", c.Prefix, err
}

// safe reports whether nobody on the network can respond in place of u.
func safe(u *url.URL) bool {
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip.IsLoopback())
}

// made reports whether a token claims to come from the issuer. Nothing has been
// verified at this point.
func (i *identities) made(token string) bool {
	var c jwt.RegisteredClaims
	_, _, err := jwt.NewParser().ParseUnverified(token, &c)
	return err == nil && c.Issuer == i.config.Issuer
}

// verify verifies an identity token and converts its claims to a grant.
func (i *identities) verify(ctx context.Context, token string) (Grant, error) {
	s := &signature{from: i.issuer}
	t, err := oidc.NewVerifier(i.config.Issuer, s, &oidc.Config{ClientID: i.config.Audience, SupportedSigningAlgs: issuerMethods}).Verify(ctx, token)
	var expired *oidc.TokenExpiredError
	switch {
	case s.err != nil:
		return Grant{}, s.err
	case errors.As(err, &expired):
		return Grant{}, errExpired
	case err != nil:
		return Grant{}, refuse("the identity token is not valid here: it must be made by %s for the audience %s, and be in its time", i.config.Issuer, i.config.Audience)
	}
	var claims claimSet
	if err := t.Claims(&claims); err != nil {
		return Grant{}, refuse("the identity token is malformed")
	}
	g, err := i.grant(claims)
	g.Expires = t.Expiry
	if g.ID, _ = claims.text("jti"); g.ID == "" {
		g.ID = unnamed(token)
	}
	return g, err
}

// grant converts claims to a scope.
func (i *identities) grant(c claimSet) (g Grant, err error) {
	for _, name := range slices.Sorted(maps.Keys(i.config.Claims)) {
		if value, ok := c.text(name); !ok || value != i.config.Claims[name] {
			return Grant{}, refuse("the identity token is not valid here: its claim %s is another than %q", name, i.config.Claims[name])
		}
	}
	g.Verbs, g.Identity = i.config.Verbs, true
	if g.Account, err = i.account.fill(c.text); err == nil {
		_, err = logservice.ParseAccount(g.Account)
	}
	prefix := ""
	if err == nil {
		prefix, err = i.prefix.fill(c.text)
	}
	if err == nil && prefix != "" {
		g.Prefix, err = logservice.ParseKey(prefix)
	}
	if errors.Is(err, logservice.ErrInvalid) {
		err = refuse("the claims of the identity token make no account and prefix that are allowed")
	}
	return g, err
}
