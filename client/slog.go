package client

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// NewSlogHandler returns a slog.Handler that writes each record as a line. The
// text of the line is the message followed by the attributes as name=value; the
// attributes are also the arguments of the line, with those of a group named
// group.name. The level is that of the record in lower case. A nil o is the same
// as a zero HandlerOptions.
//
// Handle blocks while the Writer's memory is full, like Write, and returns the
// Writer's error once the Writer has failed. The caller closes the Writer.
func NewSlogHandler(w *Writer, o *slog.HandlerOptions) slog.Handler {
	h := &slogHandler{w: w}
	if o != nil {
		h.options = *o
	}
	return h
}

// slogHandler is immutable: WithAttrs and WithGroup return copies.
type slogHandler struct {
	w       *Writer
	options slog.HandlerOptions
	groups  []string
	prefix  string // the group names, each followed by "."
	fixed   fields // from WithAttrs
}

// fields are attributes in both of their forms.
type fields struct {
	text []byte // " name=value" each
	args []byte // `"name":"value",` each
}

func (h *slogHandler) Enabled(_ context.Context, level slog.Level) bool {
	least := slog.LevelInfo
	if h.options.Level != nil {
		least = h.options.Level.Level()
	}
	return level >= least
}

func (h *slogHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	next := *h
	next.groups = append(slices.Clip(h.groups), name)
	next.prefix = h.prefix + name + "."
	return &next
}

func (h *slogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	next := *h
	next.fixed = fields{text: slices.Clip(h.fixed.text), args: slices.Clip(h.fixed.args)}
	for _, a := range attrs {
		h.attr(&next.fixed, h.groups, h.prefix, a)
	}
	return &next
}

func (h *slogHandler) Handle(_ context.Context, r slog.Record) error {
	f := fields{
		text: make([]byte, 0, 256),
		args: append(make([]byte, 0, 256), '{'),
	}
	at, level, message := r.Time, strings.ToLower(r.Level.String()), r.Message
	if h.options.ReplaceAttr != nil {
		at, level, message = h.replaceBuiltIns(&f, r)
	}
	f.text = append(f.text, h.fixed.text...)
	f.args = append(f.args, h.fixed.args...)
	if h.options.AddSource {
		if s := r.Source(); s != nil {
			h.attr(&f, nil, "", slog.String(slog.SourceKey, shortSource(s)))
		}
	}
	r.Attrs(func(a slog.Attr) bool {
		h.attr(&f, h.groups, h.prefix, a)
		return true
	})
	if len(f.args) == 1 {
		f.args = nil
	} else {
		f.args[len(f.args)-1] = '}' // replaces the last comma
	}
	return h.w.writeRecord(level, at, message+string(f.text)+"\n", f.args)
}

// replaceBuiltIns applies ReplaceAttr to time, level and message. A renamed one
// becomes an attribute; a removed one is omitted.
func (h *slogHandler) replaceBuiltIns(f *fields, r slog.Record) (at time.Time, level, message string) {
	replaced := func(a slog.Attr) (slog.Value, bool) {
		b := h.options.ReplaceAttr(nil, a)
		b.Value = b.Value.Resolve()
		if b.Key != a.Key {
			h.field(f, "", b)
			return slog.Value{}, false
		}
		return b.Value, true
	}
	if !r.Time.IsZero() {
		if v, ok := replaced(slog.Time(slog.TimeKey, r.Time.Round(0))); ok && v.Kind() == slog.KindTime {
			at = v.Time()
		}
	}
	if v, ok := replaced(slog.Any(slog.LevelKey, r.Level)); ok {
		level = strings.ToLower(v.String())
	}
	if v, ok := replaced(slog.String(slog.MessageKey, r.Message)); ok {
		message = v.String()
	}
	return at, level, message
}

// attr adds a, or the attributes of a if it is a group.
func (h *slogHandler) attr(f *fields, groups []string, prefix string, a slog.Attr) {
	a.Value = a.Value.Resolve()
	if a.Value.Kind() != slog.KindGroup {
		if h.options.ReplaceAttr != nil {
			a = h.options.ReplaceAttr(groups, a)
			a.Value = a.Value.Resolve()
		}
		h.field(f, prefix, a)
		return
	}
	if a.Key != "" { // attributes of an unnamed group belong to its parent
		groups = append(slices.Clip(groups), a.Key)
		prefix += a.Key + "."
	}
	for _, member := range a.Value.Group() {
		h.attr(f, groups, prefix, member)
	}
}

func (h *slogHandler) field(f *fields, prefix string, a slog.Attr) {
	if a.Equal(slog.Attr{}) {
		return
	}
	name, value := prefix+a.Key, h.w.hide.in(fieldValue(a.Value))
	f.text = append(f.text, ' ')
	f.text = append(f.text, plainOrQuoted(name)...)
	f.text = append(f.text, '=')
	f.text = append(f.text, plainOrQuoted(value)...)
	f.args = appendString(f.args, name)
	f.args = appendString(append(f.args, ':'), value)
	f.args = append(f.args, ',')
}

func fieldValue(v slog.Value) string {
	switch v.Kind() {
	case slog.KindTime:
		return v.Time().Format(time.RFC3339Nano)
	case slog.KindAny:
		return fmt.Sprintf("%+v", v.Any())
	}
	return v.String()
}

func plainOrQuoted(s string) string {
	if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == '=' || r == '"' || r == 0x7f }) {
		return strconv.Quote(s)
	}
	return s
}

// shortSource returns the base name of the file, and the line.
func shortSource(s *slog.Source) string {
	return s.File[strings.LastIndexByte(s.File, '/')+1:] + ":" + strconv.Itoa(s.Line)
}
