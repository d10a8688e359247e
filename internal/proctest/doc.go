// Package proctest is for tests of what the system does to a server: it suspends
// processes, so that a server accepts connections but never responds, and mounts
// volumes that are soon full.
package proctest
