package setting

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Secret is a string that is never printed.
type Secret string

const hidden = "[hidden]"

// String hides the secret.
func (Secret) String() string { return hidden }

// GoString hides the secret.
func (Secret) GoString() string { return hidden }

// MarshalText hides the secret.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Text is a setting of any text, stored in p.
func Text[T ~string](p *T, name, meaning string) *Setting {
	return Func(name, meaning, func(v string) error {
		*p = T(v)
		return nil
	})
}

// List is a setting of texts separated by commas, stored in p.
func List[T ~string](p *[]T, name, meaning string) *Setting {
	return Func(name, meaning, func(v string) error {
		*p = nil
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part != "" {
				*p = append(*p, T(part))
			}
		}
		return nil
	})
}

// Pairs is a setting of name=value pairs separated by commas, stored in p.
func Pairs(p *map[string]string, name, meaning string) *Setting {
	return Func(name, meaning, func(v string) error {
		all := map[string]string{}
		for part := range strings.SplitSeq(v, ",") {
			name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
			if !ok || name == "" || value == "" {
				return errors.New("want name=value, several separated by commas")
			}
			if _, twice := all[name]; twice {
				return fmt.Errorf("%s is there twice", name)
			}
			all[name] = value
		}
		*p = all
		return nil
	})
}

// Bool is a setting that is true or false, stored in p, and false by default.
func Bool(p *bool, name, meaning string) *Setting {
	return Func(name, meaning, func(v string) (err error) {
		*p, err = ParseBool(v)
		return err
	}).Default("false")
}

// ParseBool parses true or false, or 1 or 0.
func ParseBool(s string) (bool, error) {
	b, err := strconv.ParseBool(s)
	if err != nil {
		return false, errors.New("want true or false")
	}
	return b, nil
}

// OneOf is a setting with one of the allowed values, stored in p.
func OneOf(p *string, name, meaning string, allowed ...string) *Setting {
	return Func(name, meaning, func(v string) error {
		if !slices.Contains(allowed, v) {
			return fmt.Errorf("want %s", strings.Join(allowed, " or "))
		}
		*p = v
		return nil
	})
}

// Count is a setting that limits a number, stored in p. Zero means no limit.
func Count(p *int64, name, meaning string) *Setting {
	return Func(name, meaning, func(v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n < 0 {
			return errors.New("must be a whole number, 0 for no limit")
		}
		*p = n
		return nil
	})
}

// Size is a setting of a number of bytes from least to most, stored in p.
func Size(p *int64, name, meaning string, least, most int64) *Setting {
	return Func(name, meaning, func(v string) error {
		n, err := ParseSize(v)
		if err != nil {
			return err
		}
		if n < least || n > most {
			return fmt.Errorf("want %s to %s, and this is %d bytes", FormatSize(least), FormatSize(most), n)
		}
		*p = n
		return nil
	})
}
