// Package proctest suspends processes started by tests, so that a server accepts
// connections but never responds.
package proctest
