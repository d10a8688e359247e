// Package load generates the load: prepared lines and batches, sent over raw
// connections or gRPC, and readers that check every line they get.
package load
