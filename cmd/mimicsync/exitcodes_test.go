package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestExitCodesAreDocumented compares the constants exitX and ExitX with the list in `mimicsync
// help` and the table in README.md: scripts rely on all three.
func TestExitCodesAreDocumented(t *testing.T) {
	_, list, found := strings.Cut(newApp(io.Discard, io.Discard).rootCommand().Long, "Exit codes:\n")
	if !found {
		t.Fatal("the help has no list of exit codes")
	}
	list, _, _ = strings.Cut(list, "\n\n")
	list = regexp.MustCompile(`\n {7}`).ReplaceAllString(list, " ") // an item that continues on the next line
	help := meanings(list, `(?m)^  (\d+) +(.+)$`)
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(help, meanings(string(readme), `(?m)^\| (\d+) \| (.+) \|$`)); diff != "" {
		t.Errorf("the exit codes in `mimicsync help` (-) and in README.md (+):\n%s", diff)
	}

	codes := exitConstants(t)
	for code, name := range codes {
		if help[code] == "" {
			t.Errorf("%s, exit code %s, is not in `mimicsync help`", name, code)
		}
	}
	for code := range help {
		if codes[code] == "" {
			t.Errorf("`mimicsync help` has exit code %s, which no constant has", code)
		}
	}
}

// meanings returns the meaning of each exit code in a text: the two groups of pattern.
func meanings(text, pattern string) map[string]string {
	all := map[string]string{}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		all[m[1]] = m[2]
	}
	return all
}

// exitConstants returns the names of the constants exitX or ExitX of the command and of
// internal, by value.
func exitConstants(t *testing.T) map[string]string {
	t.Helper()
	names := map[string]string{}
	for _, folder := range []string{".", "internal/*", "../../internal/*"} {
		files, err := filepath.Glob(folder + "/*.go")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			maps.Copy(names, constantsOf(parsed))
		}
	}
	return names
}

func constantsOf(file *ast.File) map[string]string {
	names := map[string]string{}
	ast.Inspect(file, func(n ast.Node) bool {
		c, ok := n.(*ast.ValueSpec)
		if !ok || len(c.Names) != 1 || len(c.Values) != 1 || !regexp.MustCompile(`^(?i:exit)[A-Z]`).MatchString(c.Names[0].Name) {
			return true
		}
		if value, ok := c.Values[0].(*ast.BasicLit); ok && value.Kind == token.INT {
			names[value.Value] = c.Names[0].Name
		}
		return true
	})
	return names
}
