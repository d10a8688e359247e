package config

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/harness/log-service/internal/setting"
)

var update = flag.Bool("update", false, "write the tables of docs/configuration.md anew")

const page = "../../docs/configuration.md"

func TestTheTablesOfTheDocumentationAreMadeFromTheSettings(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	doc := string(text)
	for _, g := range new(Config).Groups() {
		section := strings.Index(doc, "# "+g.Title+"\n")
		if section < 0 {
			t.Fatalf("docs/configuration.md has no section %s", g.Title)
		}
		start := section + strings.Index(doc[section:], "\n| variable |") + 1
		end := start + strings.Index(doc[start:]+"\n\n", "\n\n") + 1
		want := setting.Table(g.Settings)
		if doc[start:end] != want && !*update {
			t.Errorf("the table of section %s is not what the settings say; write it with: go test ./internal/config -update\n%s", g.Title, want)
		}
		doc = doc[:start] + want + doc[end:]
	}
	if *update {
		if err := os.WriteFile(page, []byte(doc), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheDocumentationNamesEverySetting(t *testing.T) {
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names() { // also those of clients, and second names
		if !strings.Contains(string(text), "`"+setting.Prefix+name+"`") {
			t.Errorf("docs/configuration.md does not name %s%s", setting.Prefix, name)
		}
	}
	for _, word := range strings.FieldsFunc(string(text), func(r rune) bool { return r != '_' && (r < 'A' || r > 'Z') && (r < '0' || r > '9') }) {
		name, ours := strings.CutPrefix(word, setting.Prefix)
		if ours && name != "" && !slices.Contains(names(), name) {
			t.Errorf("docs/configuration.md names %s, which is no setting", word)
		}
	}
}
