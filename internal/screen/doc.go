// Package screen turns the text of lines into what people see of it, and removes
// everything with which a log could deceive them: moving the cursor, erasing,
// renaming the window, writing to the clipboard, reversing text. Searching uses
// the same text, without colors, so what is seen is what is found.
//
//   - A carriage return, or an escape sequence that does the same, starts the row
//     over: of a progress bar, its last state remains. So it does before a line
//     break, as in Windows.
//   - Of all control sequences (ECMA-48) only colors pass (ESC [ ... m), unless
//     they conceal text or are not wanted. Every other sequence is removed whole:
//     CSI, OSC, DCS, SOS, PM, APC, also if it starts with an 8-bit C1 control. A
//     line break ends an unterminated one.
//   - Colors end with their row, and begin again in the next one if they were not
//     reset: what comes between two rows is not colored.
//   - Tab passes; every other C0 and C1 control, DEL and the byte order mark are
//     removed.
//   - Marks that change the direction of text are removed; U+2028 and U+2029
//     become spaces.
//   - Invalid UTF-8 becomes U+FFFD.
package screen
