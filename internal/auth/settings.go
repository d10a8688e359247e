package auth

import (
	"fmt"
	"log/slog"

	"github.com/harness/log-service/internal/setting"
)

// Config configures a Verifier: which tokens are accepted. The methods Settings
// say what each field means. Without any source of trust, every token is rejected.
type Config struct {
	Secret          setting.Secret
	OldSecrets      []setting.Secret
	GlobalToken     setting.Secret
	OldGlobalTokens []setting.Secret
	JWTKeys         []string
	OIDC            OIDC
	RevokedTokens   string
	QueryTokens     bool // the HTTP API also accepts tokens in the query

	Logger *slog.Logger // nil for slog.Default
}

// OIDC configures trust in an issuer of identity tokens, such as GitHub
// Actions, GitLab CI, Kubernetes or any other OpenID Connect provider.
type OIDC struct {
	Issuer          string            // https, or http on the loopback interface; empty: no issuer is trusted
	Audience        string            // must be in the aud claim
	Claims          map[string]string // must all be in the token
	Account, Prefix string            // templates for the scope
	Verbs           Verbs
}

// minSecret is the minimum length of a secret in bytes: a shorter one can be
// recovered from a token that was signed with it.
const minSecret = 16

// issuedVerbs are the default verbs of identity tokens.
const issuedVerbs = Push | Tail

// On reports whether c trusts anybody.
func (c *Config) On() bool {
	return c.Secret != "" || c.GlobalToken != "" || len(c.JWTKeys) > 0 || c.OIDC.Issuer != ""
}

// Settings returns the settings of c.
func (c *Config) Settings() []*setting.Setting {
	all := []*setting.Setting{
		setting.Text(&c.Secret, "SECRET",
			"Signs and verifies account tokens in the format of the original Harness log service, and verifies HS256 JSON Web Tokens. At least 16 bytes"),
		setting.List(&c.OldSecrets, "OLD_SECRETS", "Former secrets whose tokens are still accepted"),
		setting.Text(&c.GlobalToken, "GLOBAL_TOKEN",
			"Token that authorizes `/token` to issue account tokens; also for `/info/stream` and `/internal`. At least 16 bytes"),
		setting.List(&c.OldGlobalTokens, "OLD_GLOBAL_TOKENS", "Former global tokens that are still accepted"),
		setting.List(&c.JWTKeys, "JWT_KEYS",
			"PEM files with public keys or certificates (Ed25519, RSA, ECDSA on P-256) that verify JSON Web Tokens. Reloaded when they change"),
	}
	return append(append(all, c.OIDC.Settings()...),
		setting.Text(&c.RevokedTokens, "REVOKED_TOKENS",
			"File with the ids of revoked tokens, one per line; `#` starts a comment. Reloaded when it changes; it need not exist"),
		setting.Bool(&c.QueryTokens, "QUERY_TOKENS",
			"`true`: `GET` requests may carry their token as the parameter `X-Harness-Token`, as old user interfaces do. Addresses are kept in histories and in the logs of proxies"))
}

// Settings returns the settings of o.
func (o *OIDC) Settings() []*setting.Setting {
	return []*setting.Setting{
		setting.Text(&o.Issuer, "OIDC_ISSUER", "Issuer of accepted identity tokens, exactly as in `iss`: see [security.md](security.md#identity-tokens)"),
		setting.Text(&o.Audience, "OIDC_AUDIENCE", "Required audience (`aud`) of those tokens. Required with an issuer"),
		setting.Pairs(&o.Claims, "OIDC_CLAIMS",
			"Claims that those tokens must have, `name=value`. Required with an issuer that issues tokens to the public"),
		setting.Text(&o.Account, "OIDC_ACCOUNT",
			"Account of those tokens: a name, or one claim in braces such as `{repository_owner}`. Required with an issuer"),
		setting.Text(&o.Prefix, "OIDC_PREFIX",
			"Key prefix of those tokens, with claims in braces, such as `github/{repository}`. If unset, they cover the whole account"),
		setting.Func("OIDC_VERBS", "Verbs that those tokens grant", func(v string) (err error) {
			o.Verbs, err = ParseVerbs(v)
			return err
		}).Default(issuedVerbs.String()),
	}
}

// both returns the current secret and the old ones, omitting empty ones.
func both(now setting.Secret, old []setting.Secret) (all []setting.Secret) {
	for _, s := range append([]setting.Secret{now}, old...) {
		if s != "" {
			all = append(all, s)
		}
	}
	return all
}

// Check returns an error, a *setting.Error, if settings are unsafe or contradict
// each other.
func (c *Config) Check() error {
	for _, s := range []struct {
		name string
		now  setting.Secret
		old  []setting.Secret
	}{{"SECRET", c.Secret, c.OldSecrets}, {"GLOBAL_TOKEN", c.GlobalToken, c.OldGlobalTokens}} {
		if err := checkSecrets(s.name, s.now, s.old); err != nil {
			return err
		}
	}
	if err := c.OIDC.checkSettings(); err != nil {
		return err
	}
	if c.GlobalToken != "" && c.Secret == "" && len(c.JWTKeys) == 0 && c.OIDC.Issuer == "" {
		return &setting.Error{Name: setting.Prefix + "GLOBAL_TOKEN",
			Rule: "it issues tokens signed with " + setting.Prefix + "SECRET, which is not set: nobody could access a log"}
	}
	if c.RevokedTokens != "" && !c.On() {
		return &setting.Error{Name: setting.Prefix + "REVOKED_TOKENS", Value: c.RevokedTokens,
			Rule: "no tokens are asked for: set " + setting.Prefix + "SECRET or " + setting.Prefix + "JWT_KEYS, too"}
	}
	return nil
}

// checkSecrets checks the secrets of the setting name, and the old ones, of the
// setting OLD_ and name in the plural.
func checkSecrets(name string, now setting.Secret, old []setting.Secret) error {
	short := func(name string, s setting.Secret) error {
		if s == "" || len(s) >= minSecret {
			return nil
		}
		return &setting.Error{Name: setting.Prefix + name, Rule: fmt.Sprintf("%d bytes can be guessed: at least %d", len(s), minSecret),
			Hint: "make one with: openssl rand -base64 32"}
	}
	if err := short(name, now); err != nil {
		return err
	}
	olds := "OLD_" + name + "S"
	for _, s := range old {
		if err := short(olds, s); err != nil {
			return err
		}
	}
	if len(old) > 0 && now == "" {
		return &setting.Error{Name: setting.Prefix + olds, Rule: "old ones go with a new one: set " + setting.Prefix + name + ", too"}
	}
	return nil
}

func (o *OIDC) checkSettings() error {
	if o.Issuer == "" {
		if o.Audience+o.Account+o.Prefix != "" || len(o.Claims) > 0 || o.Verbs != issuedVerbs && o.Verbs != 0 {
			return &setting.Error{Name: setting.Prefix + "OIDC_ISSUER", Rule: "it is not set, and other settings of identity tokens are"}
		}
		return nil
	}
	return o.Check()
}
