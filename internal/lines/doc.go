// Package lines turns the bodies of appends into what engines keep: one JSON
// object a line (logs.Lines.Data), each scanned and validated exactly once.
//
// A body is transformed in place: the commas of an array become line breaks,
// and the result is a part of the buffer that came in. Only bodies that must
// grow (invalid UTF-8 to replace, lines to cut, plain text) take a new one.
//
// What is accepted is what RFC 8259 calls an object, with two allowances that
// real log lines need: duplicate member names are kept, and invalid UTF-8
// inside strings is replaced by U+FFFD. Members and their types are not
// checked: lines are kept as sent.
package lines

// MaxDepth is how deep objects and arrays may nest in a line, the line itself
// counted. Log lines are flat; the scanner keeps its stack in one word.
const MaxDepth = 64
