// Package report makes the report of a run: medians of the rounds, ratios to the
// references, and whether targets are met.
package report
