// Package proctest suspends the processes that tests start, so that a server
// takes connections and never answers.
package proctest
