package logservice

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Line is one line of a log as runners send it:
//
//	{"level":"info","pos":0,"out":"text\n","time":"2026-01-02T15:04:05Z","args":null}
//
// The server stores every line as the bytes that were sent; Line is their
// representation in Go programs.
type Line struct {
	// Seq is the line's position in its log: 1, 2, 3, ... over all writers. It
	// is transmitted beside the line, not in it; zero if unknown.
	Seq int64 `json:"-"`
	// Attempt is the attempt of the log that Seq counts in, from the second on;
	// zero is the first.
	Attempt int64 `json:"-"`

	Level string            `json:"level"`
	Pos   int64             `json:"pos"` // counted from 0 by each writer
	Out   string            `json:"out"` // may or may not end in \n
	Time  time.Time         `json:"time"`
	Args  map[string]string `json:"args"`
	// Partial marks a piece of a line that had not ended when it was sent: a
	// prompt, a progress bar, a part of a very long line. The next line of the
	// same writer continues it.
	Partial bool `json:"partial,omitempty"`
	// Truncated is the size in bytes of the text before the server cut it at
	// its limit; zero for a complete line.
	Truncated int64 `json:"truncated,omitempty"`
	// Replaced is how many bytes of the text were not UTF-8 and became U+FFFD.
	Replaced int64 `json:"replaced,omitempty"`
	// Gap is set on a line that represents lost lines.
	Gap *Gap `json:"gap,omitempty"`
}

// Gap names the sequences of lines that no backend has anymore, or that are
// damaged where they are stored.
type Gap struct {
	First int64 `json:"first"`
	Last  int64 `json:"last"`
	// Damage is why stored lines cannot be read; empty if there are none.
	Damage string `json:"damage,omitempty"`
	// Rest marks damage after which nothing of the log can be read. How many
	// lines that are is unknown; Last is First.
	Rest bool `json:"rest,omitempty"`
}

// Lines is the number of lost sequences.
func (g Gap) Lines() int64 { return g.Last - g.First + 1 }

// String describes the gap to people.
func (g Gap) String() string {
	switch {
	case g.Damage == "":
		return fmt.Sprintf("%d lines lost", g.Lines())
	case g.Rest:
		return "the log is damaged from here on: " + g.Damage
	}
	return fmt.Sprintf("%d lines damaged: %s", g.Lines(), g.Damage)
}

// UnmarshalJSON reads a line as real clients write it. Time is read by ParseTime.
// Out and Level of another type are kept as their JSON text; other members of an
// unexpected type are skipped. An object without "out" is not a line of ours, but
// of a program that logs JSON: Out is the whole object, as it is. Only text that
// is not a JSON object is an error.
func (l *Line) UnmarshalJSON(data []byte) error {
	var raw map[string]json.RawMessage // not a struct: that ignores the case of names
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	if raw == nil { // null, which changes nothing
		return nil
	}
	*l = Line{Seq: l.Seq, Attempt: l.Attempt}
	l.Level = text(raw["level"])
	l.Out = text(raw["out"])
	if raw["out"] == nil && raw["gap"] == nil {
		l.Out = string(bytes.TrimSpace(data))
	}
	l.Time, _ = ParseTime(raw["time"])
	// The members below are optional: one of another type is treated as absent.
	_ = json.Unmarshal(orNull(raw["pos"]), &l.Pos)
	_ = json.Unmarshal(orNull(raw["truncated"]), &l.Truncated)
	_ = json.Unmarshal(orNull(raw["replaced"]), &l.Replaced)
	_ = json.Unmarshal(orNull(raw["partial"]), &l.Partial)
	_ = json.Unmarshal(orNull(raw["gap"]), &l.Gap)
	if json.Unmarshal(orNull(raw["args"]), &l.Args) != nil {
		l.Args = nil
	}
	return nil
}

func orNull(raw json.RawMessage) []byte {
	if raw == nil {
		return []byte("null")
	}
	return raw
}

func text(raw json.RawMessage) string {
	if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
		return ""
	}
	var s string
	if raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}
