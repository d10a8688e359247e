package logservice

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
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
	// Truncated is the size in bytes of the text before the server cut it at
	// its limit; zero for a complete line.
	Truncated int64 `json:"truncated,omitempty"`
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

// UnmarshalJSON reads a line as real clients write it. A time may be RFC 3339
// or a number (seconds, or milliseconds since 1970 as written by Java). A
// member of an unexpected type is kept as its JSON text in Out, and is
// otherwise skipped. Only text that is not a JSON object is an error.
func (l *Line) UnmarshalJSON(data []byte) error {
	var raw struct {
		Level     json.RawMessage `json:"level"`
		Pos       json.RawMessage `json:"pos"`
		Out       json.RawMessage `json:"out"`
		Time      json.RawMessage `json:"time"`
		Args      json.RawMessage `json:"args"`
		Truncated json.RawMessage `json:"truncated"`
		Gap       json.RawMessage `json:"gap"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	*l = Line{Seq: l.Seq, Attempt: l.Attempt}
	l.Level = text(raw.Level)
	l.Out = text(raw.Out)
	l.Time = moment(raw.Time)
	// The members below are optional: one of another type is treated as absent.
	_ = json.Unmarshal(orNull(raw.Pos), &l.Pos)
	_ = json.Unmarshal(orNull(raw.Truncated), &l.Truncated)
	_ = json.Unmarshal(orNull(raw.Gap), &l.Gap)
	if json.Unmarshal(orNull(raw.Args), &l.Args) != nil {
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

// moment parses a time. Numbers from 1e11 on are milliseconds: as seconds they
// would be after the year 5000.
func moment(raw json.RawMessage) time.Time {
	var t time.Time
	if len(raw) == 0 {
		return t
	}
	if raw[0] == '"' {
		_ = t.UnmarshalJSON(raw) // not RFC 3339: the zero time
		return t
	}
	var n float64
	if json.Unmarshal(raw, &n) != nil || n == 0 || math.Abs(n) > 1e15 {
		return t
	}
	if math.Abs(n) >= 1e11 {
		return time.UnixMilli(int64(n)).UTC()
	}
	sec, frac := math.Modf(n)
	return time.Unix(int64(sec), int64(frac*1e9)).UTC()
}
