// Package proctest gives tests what they need from the system: programs, volumes
// that are soon full, suspended processes, so that a server accepts connections but
// never responds, and a clock that stops on a busy machine.
package proctest
