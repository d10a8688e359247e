// Package server puts a log service together from its settings and runs it:
//
//	config ─► data folder (lock, link key)
//	              ├─► stream.Engine ─┐
//	              └─► bolt.Store ────┴─► logs.Service ─► api ─► http.Server
//
// It is what the command "server" runs, and what tests start.
package server
