// Package proctest gives tests what they need from the system: programs, volumes
// that are soon full, and suspended processes, so that a server accepts connections
// but never responds.
package proctest
