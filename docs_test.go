package logservice

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	// codeBlock is a fenced block of a document: what looks like a link or a
	// heading in it is none.
	codeBlock = regexp.MustCompile("(?s)```.*?```")
	heading   = regexp.MustCompile(`(?m)^#+ (.*)$`)
	// mark is what GitHub drops from headings in fragments.
	mark = regexp.MustCompile(`[^\pL\pN _-]`)
)

// documents returns the text of every document, without blocks of code, by path.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*.md", "docs/*.md", "docs/*/*.md", "bench/results/README.md"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			all[filepath.ToSlash(file)] = codeBlock.ReplaceAllString(string(text), "")
		}
	}
	if len(all) < 15 {
		t.Fatalf("only %d documents", len(all))
	}
	return all
}

// anchors returns the fragments of the headings of a document, as GitHub makes
// them.
func anchors(doc string) (all []string) {
	for _, m := range heading.FindAllStringSubmatch(doc, -1) {
		all = append(all, strings.ReplaceAll(strings.ToLower(mark.ReplaceAllString(m[1], "")), " ", "-"))
	}
	return all
}

func TestTheLinksOfTheDocumentsLeadSomewhere(t *testing.T) {
	docs := documents(t)
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for file, doc := range docs {
		for _, m := range link.FindAllStringSubmatch(doc, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			path, anchor, _ := strings.Cut(m[1], "#")
			target := file
			if path != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(file), path))
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", file, m[1], err)
			} else if anchor != "" && !slices.Contains(anchors(docs[target]), anchor) {
				t.Errorf("%s links to %s: no such heading", file, m[1])
			}
		}
	}
}

// A newcomer searches for the files that ARCHITECTURE.md names.
func TestTheArchitectureNamesFilesThatExist(t *testing.T) {
	doc := documents(t)["ARCHITECTURE.md"]
	var files []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && strings.HasPrefix(d.Name(), ".") && path != "." {
			return filepath.SkipDir
		}
		files = append(files, "/"+filepath.ToSlash(path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z0-9_/-]+(?:/|\\.go|\\.lua|\\.md)|internal/[a-z0-9_/]+)`").FindAllStringSubmatch(doc, -1)
	if len(named) < 50 {
		t.Errorf("only %d files named", len(named))
	}
	for _, m := range named {
		name := "/" + strings.TrimSuffix(m[1], "/")
		if !slices.ContainsFunc(files, func(f string) bool { return strings.HasSuffix(f, name) }) {
			t.Errorf("ARCHITECTURE.md names %s, which does not exist", m[1])
		}
	}
}
