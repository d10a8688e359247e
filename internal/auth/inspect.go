package auth

import (
	"encoding/json"

	"github.com/golang-jwt/jwt/v5"

	logservice "github.com/harness/log-service"
)

// Kinds of tokens.
const (
	KindAccount  = "account token"
	KindJWT      = "JSON web token"
	KindIdentity = "identity token" // or any other token not issued by this service
)

// Inspection is the content of a token. None of it has been verified.
type Inspection struct {
	Kind      string
	Grant     Grant  // of an account token or a JSON web token of this service
	Algorithm string // of a JSON web token
	KeyID     string // of a JSON web token; may be empty
	Claims    json.RawMessage
}

// Inspect decodes a token without verifying it. The error is logservice.ErrInvalid
// if the format is unknown.
func Inspect(token string) (i Inspection, err error) {
	if !isJWT(token) {
		i.Kind = KindAccount
		data, _, ok := splitAccountToken(token)
		if ok {
			i.Grant, ok = accountGrant(data)
		}
		if !ok {
			return i, logservice.Invalidf("unknown kind of token: neither an account token nor a JSON Web Token")
		}
		return i, nil
	}
	var c claims
	t, parts, err := jwt.NewParser().ParseUnverified(token, &c)
	if t == nil || t.Header == nil || len(parts) != 3 {
		return i, logservice.Invalidf("unknown kind of token: it has the dots of a JSON Web Token but is not one")
	}
	i.Algorithm, _ = t.Header["alg"].(string)
	i.KeyID, _ = t.Header["kid"].(string)
	payload, decodeErr := jwt.NewParser().DecodeSegment(parts[1])
	if decodeErr != nil || !json.Valid(payload) {
		return i, logservice.Invalidf("unknown kind of token: its content is not JSON")
	}
	i.Claims = payload
	i.Kind = KindIdentity
	if g, grantErr := c.grant(); err == nil && grantErr == nil {
		i.Kind, i.Grant = KindJWT, g
		if g.ID == "" {
			i.Grant.ID = unnamed(token)
		}
		return i, nil
	}
	var all claimSet
	if json.Unmarshal(payload, &all) != nil {
		return i, logservice.Invalidf("unknown kind of token: its content is not a JSON object")
	}
	i.Grant = Grant{ID: unnamed(token)}
	if id, _ := all.text("jti"); id != "" {
		i.Grant.ID = id
	}
	if c.ExpiresAt != nil {
		i.Grant.Expires = c.ExpiresAt.Time
	}
	return i, nil
}
