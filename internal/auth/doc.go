// Package auth is authentication and authorization: it verifies tokens and turns
// each into a Grant, which the APIs check before they act.
//
//	token ─► Verifier.Verify ─┬─ seen before: from memory
//	                          ├─ the global token
//	                          ├─ account token, original Harness format           (account.go)
//	                          ├─ JSON web token, by secret or key file            (jwt.go)
//	                          └─ identity token of a trusted issuer               (oidc.go)
//	                 │
//	                 ▼
//	              Grant.Allows(verb, log) ── nil, or an error that says what the token is for
//
// It does not depend on HTTP or gRPC: both APIs use the same Verifier.
package auth
