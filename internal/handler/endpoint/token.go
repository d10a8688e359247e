package endpoint

// Token answers with a token for everything in an account, bare, as its
// clients take it.
func (a *API) Token(c *Call, account Account) error {
	token, err := a.auth.AccountToken(account.name)
	if err != nil {
		return err
	}
	c.Header().Set("Cache-Control", "no-store")
	return c.Text(token)
}
