// Package auth says who may do what: it verifies tokens and turns each into a
// Grant, which the dialects ask before they act.
//
//	token ─► Verifier.Verify ─┬─ seen before: from memory
//	                          ├─ the global token
//	                          ├─ account token, the format of the first service   (account.go)
//	                          ├─ JSON web token, by secret or key file            (jwt.go)
//	                          └─ identity token of a trusted issuer               (oidc.go)
//	                 │
//	                 ▼
//	              Grant.Allows(verb, log) ── nil, or an error that says what the token is for
//
// It knows no HTTP and no gRPC: both ask the same Verifier.
package auth
