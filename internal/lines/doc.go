// Package lines converts the bodies of appends to what engines store: one JSON
// object per line (logs.Lines.Data), each scanned and validated exactly once.
//
// A body is transformed in place: the commas of an array become line breaks,
// and the result is part of the input buffer. Only bodies that must grow
// (invalid UTF-8 to replace, lines to cut, plain text) get a new one.
//
// A line is an object as defined by RFC 8259, with two allowances that real log
// lines need: duplicate member names are kept, and invalid UTF-8 inside strings
// is replaced by U+FFFD. Members and their types are not checked: lines are
// stored as sent.
package lines

// MaxDepth is how deep objects and arrays may nest in a line, including the
// line itself. Log lines are flat, and the scanner keeps its stack in one word.
const MaxDepth = 64
