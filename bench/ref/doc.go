// Package ref has the reference servers: the least that a server could do with
// the same bytes.
package ref
