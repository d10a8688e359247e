// Package e2e tests the program as its users have it: the built binary, its
// command line, real sockets, real files, and kill -9.
package e2e
