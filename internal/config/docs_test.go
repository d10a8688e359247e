package config

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestTheDocumentationNamesEverySetting(t *testing.T) {
	doc, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names() {
		if !strings.Contains(string(doc), "`"+Prefix+name+"`") {
			t.Errorf("docs/configuration.md does not name %s%s", Prefix, name)
		}
	}
	for _, word := range strings.FieldsFunc(string(doc), func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') && (r < '0' || r > '9') }) {
		name, ours := strings.CutPrefix(word, Prefix)
		if ours && name != "" && !slices.Contains(names(), name) {
			t.Errorf("docs/configuration.md names %s, which is no setting", word)
		}
	}
	def := Default()
	for name, want := range map[string]string{
		"HTTP_BIND": def.Bind, "HTTP_PROTO": def.Proto, "DATA": def.Data, "STREAM": def.Stream,
		"MEMORY": FormatSize(def.Memory), "MAX_LINE": FormatSize(def.MaxLine), "MAX_BODY": FormatSize(def.MaxBody),
		"MAX_UPLOAD": FormatSize(def.MaxUpload), "ACCOUNT_MAX_STREAMS": strconv.FormatInt(def.AccountStreams, 10),
		"ACCOUNT_MAX_TAILS": strconv.FormatInt(def.AccountTails, 10),
	} {
		if !strings.Contains(string(doc), "| `"+Prefix+name+"` | `"+want+"` |") {
			t.Errorf("docs/configuration.md does not give %s as the default of %s%s", want, Prefix, name)
		}
	}
}
