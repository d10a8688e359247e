// Package server assembles a log service from its settings and runs it:
//
//	config ─► data folder (lock, link key)
//	              ├─► stream.Engine ─┐
//	              └─► bolt.Store ────┴─► service ─► api ─► http.Server
//
// The command "server" runs it, and tests start it.
package server
