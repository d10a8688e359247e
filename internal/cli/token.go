package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/harness/log-service/internal/auth"
	"github.com/harness/log-service/internal/config"
)

type tokenCmd struct {
	Create  tokenCreate  `cmd:"" help:"Create a token and print it."`
	Inspect tokenInspect `cmd:"" help:"Print what a token grants."`
	Revoke  tokenRevoke  `cmd:"" help:"Add a token to the list of revoked tokens."`

	groupHelp
}

func (*tokenCmd) Help() string {
	return example("log-service token create --account A --prefix p/1 --verbs push,tail", "log-service token inspect -", "log-service token revoke -")
}

// Formats of new tokens.
const (
	formatJWT     = "jwt"
	formatAccount = "account"
)

// maxTokenTTL limits the lifetime of a token: a longer-lived one is a password.
const maxTokenTTL = 366 * 24 * time.Hour

// serverSettings are the server settings that other commands need. They read no
// file that was not named: one in the working directory may be anybody's.
type serverSettings struct {
	EnvFile string `name:"env-file" placeholder:"FILE" help:"Also read the server's settings from this file; the environment takes precedence (none)."`
}

func (c *serverSettings) load(s *session) (config.Config, error) {
	env, err := config.Environ(s.Environ, c.EnvFile, true)
	if err != nil {
		return config.Config{}, &usage{err: err, hint: hint(err)}
	}
	settings, _, err := config.Load(env.Env)
	return settings, err
}

type tokenCreate struct {
	AllAccounts bool          `name:"all-accounts" help:"Make the token valid for all accounts, not only --account."`
	Prefix      string        `placeholder:"KEY" help:"Restrict the token to logs at and below this key (the whole account)."`
	Verbs       string        `placeholder:"LIST" help:"What the token permits, separated by commas: push, tail, read, write, delete, or admin for all of these."`
	Expires     time.Duration `default:"1h" help:"Lifetime of the token (${default})."`
	ID          string        `name:"id" placeholder:"NAME" help:"Id used to revoke the token (random)."`
	KeyFile     string        `name:"key-file" placeholder:"FILE" help:"Sign with this private key, PEM; the server needs its public key in LOG_SERVICE_JWT_KEYS (sign with LOG_SERVICE_SECRET)."`
	Format      string        `enum:"jwt,account" default:"jwt" help:"jwt, or account: the format of the original Harness log service, which grants everything in one account (${default})."`
	serverSettings
	outputFlag
}

func (*tokenCreate) Help() string {
	return "The secret is read from LOG_SERVICE_SECRET, or from the file of --env-file.\n\n" +
		example("log-service token create --account A --prefix p/1 --verbs push,tail",
			"log-service token create --all-accounts --verbs admin --key-file private.pem")
}

func (c *tokenCreate) Run(s *session) error {
	if c.Expires <= 0 || c.Expires > maxTokenTTL {
		return usagef("--expires %v: must be positive and at most %v", c.Expires, maxTokenTTL)
	}
	settings, err := c.load(s)
	if err != nil {
		return err
	}
	make := c.scoped
	if c.Format == formatAccount {
		make = c.whole
	}
	token, err := make(s, string(settings.Auth.Secret))
	if err != nil {
		return err
	}
	if c.Output == outputJSON {
		return json.NewEncoder(s.Stdout).Encode(map[string]string{"token": token})
	}
	_, err = fmt.Fprintln(s.Stdout, token)
	return err
}

var errNoSecret = &usage{
	err:  errors.New("nothing to make a token with: LOG_SERVICE_SECRET is not set"),
	hint: "set it to the server's secret, or name the file that has it with --env-file, or sign with --key-file FILE (create one with openssl genpkey -algorithm ed25519)",
}

// whole makes a token in the format of the original Harness log service.
func (c *tokenCreate) whole(s *session, secret string) (string, error) {
	switch {
	case c.Prefix != "" || c.Verbs != "" || c.AllAccounts || c.KeyFile != "" || c.ID != "":
		return "", usagef("--format account grants everything in one account and is signed with the secret: it cannot be combined with --prefix, --verbs, --all-accounts, --id or --key-file")
	case secret == "":
		return "", errNoSecret
	}
	return auth.NewAccountToken(s.root.Account, time.Now().Add(c.Expires), secret)
}

// scoped makes a JSON web token.
func (c *tokenCreate) scoped(s *session, secret string) (string, error) {
	if c.Verbs == "" {
		return "", usagef("--verbs is missing: list what the token permits, such as push,tail")
	}
	verbs, err := auth.ParseVerbs(c.Verbs)
	if err != nil {
		return "", &usage{err: err}
	}
	if strings.ContainsAny(c.ID, " \t\r\n#") {
		return "", usagef("--id %q contains a space or a #, which end an id in the list of revoked tokens", c.ID)
	}
	prefix, err := parseOptionalKey(strings.TrimSuffix(c.Prefix, "/"))
	if err != nil {
		return "", &usage{err: err}
	}
	g := auth.Grant{Account: s.root.Account, Prefix: prefix, Verbs: verbs, Expires: time.Now().Add(c.Expires), ID: c.ID}
	if c.AllAccounts {
		g.Account, g.AllAccounts = "", true
	}
	signer, err := c.signer(secret)
	if err != nil {
		return "", err
	}
	token, g, err := signer.Sign(g, time.Now())
	if err == nil && !s.root.Quiet {
		fmt.Fprintf(s.Stderr, "token %s, until %s\n", g.ID, g.Expires.UTC().Format(time.RFC3339))
	}
	return token, err
}

func (c *tokenCreate) signer(secret string) (*auth.Signer, error) {
	if c.KeyFile != "" {
		key, err := auth.ReadPrivateKey(c.KeyFile)
		if err != nil {
			return nil, &usage{err: err}
		}
		return auth.NewSigner(key)
	}
	if secret == "" {
		return nil, errNoSecret
	}
	return auth.NewSigner([]byte(secret))
}

// tokenArgument is a token on the command line or on standard input, which keeps it
// out of process lists and shell histories.
type tokenArgument struct {
	Text string `arg:"" optional:"" name:"token" help:"The token, or - to read it from standard input (--token)."`
}

func (a *tokenArgument) read(s *session) (string, error) {
	switch a.Text {
	case "-":
		line, err := firstLine(s.Stdin)
		if err != nil {
			return "", err
		}
		a.Text = line
	case "":
		a.Text = s.root.Token
	}
	if a.Text == "" {
		return "", usagef("no token: give one, or - to read it from standard input")
	}
	return a.Text, nil
}

type tokenInspect struct {
	tokenArgument
	serverSettings
	outputFlag
}

func (*tokenInspect) Help() string {
	return "The content of the token is always printed. With the server's settings in the environment the token is also verified; " +
		"the exit status is 4 if the server would reject it.\n\n" + example("log-service token inspect -", "log-service token inspect TOKEN -o json")
}

func (c *tokenInspect) Run(ctx context.Context, s *session) error {
	token, err := c.read(s)
	if err != nil {
		return err
	}
	i, err := auth.Inspect(token)
	if err != nil {
		return &usage{err: err}
	}
	settings, err := c.load(s)
	if err != nil {
		return err
	}
	v := verification(ctx, settings, token)
	if c.Output == "json" {
		err = printTokenJSON(s, i, v)
	} else {
		err = printToken(s, i, v)
	}
	return errors.Join(err, v.err)
}
