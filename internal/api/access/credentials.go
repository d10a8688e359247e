package access

import (
	"strings"

	logservice "github.com/harness/log-service"
)

// HeaderToken carries the token of a request. It is also the name of the query
// parameter that old clients use.
const HeaderToken = "X-Harness-Token"

// Credentials are the places where a request may have its token. The first place
// that has one counts: requests pass proxies and user interfaces that add
// credentials of their own, such as the session of the Harness UI in Authorization.
type Credentials struct {
	Peer          string   // address of the sender; see auth.Peer
	Header        []string // values of HeaderToken
	Protocol      string   // where the caller's protocol has it
	Authorization []string // values of that header: what is no token of ours is ignored
	Query         string   // the parameter, if the server accepts it
}

// token returns the token; it is empty if there is none. Two different ones in the
// same place are an error: components that read different ones must not disagree
// about the caller.
func (c Credentials) token(ours func(string) bool) (string, error) {
	token, err := single(c.Header)
	if err != nil || token != "" {
		return token, err
	}
	if c.Protocol != "" {
		return c.Protocol, nil
	}
	var bearers []string
	for _, field := range c.Authorization {
		scheme, t, _ := strings.Cut(field, " ")
		if t = strings.TrimSpace(t); strings.EqualFold(scheme, "Bearer") && ours(t) {
			bearers = append(bearers, t)
		}
	}
	if token, err = single(bearers); err != nil || token != "" {
		return token, err
	}
	return c.Query, nil
}

// single returns the only value that is not empty; it is empty if there is none.
func single(values []string) (one string, err error) {
	for _, v := range values {
		switch {
		case v == "":
		case one == "":
			one = v
		case v != one:
			return "", logservice.Invalidf("two tokens in one request: send one")
		}
	}
	return one, nil
}
