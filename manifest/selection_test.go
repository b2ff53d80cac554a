package manifest

import (
	"path"
	"slices"
	"strings"
	"testing"
)

func TestSelectionPatterns(t *testing.T) {
	tests := []struct {
		pattern string
		yes, no string // paths, separated by spaces
	}{
		{"*.dcm", "a.dcm files/p10/a.dcm .dcm", "a.dcm.txt a.dcm/b"},
		{"README", "README x/README", "README.txt x/README/y AREADME"},
		{"?.csv", "a.csv x/b.csv x/é.csv", "ab.csv .csv"},
		{"hosp/*.csv.gz", "hosp/a.csv.gz", "hosp/x/a.csv.gz x/hosp/a.csv.gz icu/a.csv.gz hosp/axcsvxgz"},
		{"hosp/*", "hosp/a", "hosp/a/b hosp"},
		{"/*.txt", "a.txt", "x/a.txt"},
		{"/README", "README README/x", "x/README"},
		{"./hosp/*", "hosp/a", "icu/a"},
		{"hosp/", "hosp/a hosp/b/c", "hosp x/hosp/a hospital/a"},
		{"/", "a b/c", ""},
		{"files/p10", "files/p10 files/p10/p1/s2.txt", "files/p101 x/files/p10"},
		{"files/p1?/", "files/p10/a files/p11/b/c", "files/p1/a files/p100/a"},
		{"**", "a b/c", ""},
		{"**/*.gz", "a.gz b/a.gz b/c/a.gz", "a.gzip"},
		{"a/**", "a/b a/b/c", "a b/a/c"},
		{"a/**/z", "a/z a/b/z a/b/c/z", "a/bz az z"},
		{"**/p10/**", "p10/a x/p10/a/b", "p10 x/p101/a"},
		{"files/**.txt", "files/a.txt files/x/b.txt", "a.txt"},
		{"[a-c]x", "ax d/bx", "dx x Ax"},
		{"[!a-c]x", "dx", "ax"},
		{"[^a-c]x", "dx y/zx", "bx"},
		{"[]a]", "] a", "b"},
		{"[a-]", "a -", "b"},
		{"[-a]", "a -", "b"},
		{"[[]x", "[x", "x"},
		{"f[+-9]x", "f-x f0x", "f/x fax"},
		{"a[!b]c/", "axc/y", "a/c/y abc/y"},
		{"*.{csv,csv.gz}", "a.csv x/a.csv.gz", "a.gz a.csvx"},
		{"{hosp,icu}/*.gz", "hosp/a.gz icu/a.gz", "ed/a.gz"},
		{"{a,b{c,d}}", "a bc bd", "b ab"},
		{"{**/x,y/*}.txt", "x.txt a/b/x.txt y/z.txt", "y/z/w.txt"},
		{"{,a}b", "b ab", "a"},
		{"a,b", "a,b", "a b"},
		{"a.b+(c)|$", "a.b+(c)|$", "aab"},
		{"[.]x", ".x", "ax"},
	}
	for _, tt := range tests {
		s, err := NewSelection([]string{tt.pattern}, nil)
		if err != nil {
			t.Errorf("NewSelection(%q) = %v, want nil", tt.pattern, err)
			continue
		}
		for path := range strings.FieldsSeq(tt.yes) {
			if !s.Match(path) {
				t.Errorf("%q: Match(%q) = false, want true", tt.pattern, path)
			}
		}
		for path := range strings.FieldsSeq(tt.no) {
			if s.Match(path) {
				t.Errorf("%q: Match(%q) = true, want false", tt.pattern, path)
			}
		}
	}
}

func TestSelectionOfNothingGivenIsEverything(t *testing.T) {
	empty, err := NewSelection(nil, []string{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []Selection{{}, empty} {
		if !s.All() || !s.Match("any/thing") {
			t.Errorf("All() = %v, Match() = %v, want true", s.All(), s.Match("any/thing"))
		}
	}
}

func TestSelectionExcludesFromWhatIsIncluded(t *testing.T) {
	s, err := NewSelection([]string{"hosp/", "*.txt"}, []string{"hosp/labevents*", "/notes/"})
	if err != nil {
		t.Fatal(err)
	}
	if s.All() {
		t.Error("All() = true, want false")
	}
	for path, want := range map[string]bool{
		"hosp/patients.csv.gz":  true,
		"hosp/labevents.csv.gz": false,
		"LICENSE.txt":           true,
		"notes/a.txt":           false,
		"icu/icustays.csv.gz":   false,
	} {
		if got := s.Match(path); got != want {
			t.Errorf("Match(%q) = %v, want %v", path, got, want)
		}
	}
	only, err := NewSelection(nil, []string{"*.dcm"})
	if err != nil {
		t.Fatal(err)
	}
	if only.All() || only.Match("a.dcm") || !only.Match("a.txt") {
		t.Error("a selection that only excludes: want everything else")
	}
}

func TestNewSelectionNamesTheBadPattern(t *testing.T) {
	for pattern, why := range map[string]string{
		"":                              "empty",
		"a{b":                           "no }",
		"a}b":                           "no {",
		"[ab":                           "no ]",
		"[]":                            "no ]",
		"[z-a]":                         "backwards",
		"[a/b]":                         `"/"`,
		`hosp\*.gz`:                     "backslash",
		"a\xff":                         "UTF-8",
		strings.Repeat("[a-z]", 20_000): "longer than 4096 bytes",
	} {
		_, err := NewSelection([]string{"*.txt"}, []string{"ok", pattern})
		if err == nil || !strings.Contains(err.Error(), why) || !strings.HasPrefix(err.Error(), "exclude pattern ") {
			t.Errorf("NewSelection(%.20q) = %.200v, want an error about %q", pattern, err, why)
		}
	}
}

// A list of patients is no pattern: memory and time are bounded.
func TestManyPatternsAreRefused(t *testing.T) {
	many := slices.Repeat([]string{"files/p10/p10000032/**"}, 20_000)
	if _, err := NewSelection(many[:10_000], nil); err != nil {
		t.Errorf("NewSelection(10,000 patterns) = %v, want <nil>", err)
	}
	if _, err := NewSelection(nil, many); err == nil || !strings.Contains(err.Error(), "the exclude patterns are longer") {
		t.Errorf("NewSelection(20,000 patterns) = %v, want an error", err)
	}
}

// Where a pattern has nothing that path.Match does not know, both must agree.
func FuzzSelection(f *testing.F) {
	f.Add("*.csv", "a.csv")
	f.Add("hosp/*/?x", "hosp/a/bx")
	f.Add("{a,[!b-d]}**/", "a/b/c")
	f.Add("[+-9]*", "x/y")
	f.Fuzz(func(t *testing.T, glob, name string) {
		s, err := NewSelection([]string{"/" + glob}, nil)
		if err != nil {
			return
		}
		got := s.Match(name)
		simple := strings.ContainsAny(glob, "*?") && !strings.ContainsAny(glob, `[]{}\`) && !strings.Contains(glob, "**")
		if !simple || strings.HasSuffix(glob, "/") || strings.HasPrefix(glob, "/") {
			return
		}
		if want, err := path.Match(glob, name); err != nil || got != want {
			t.Errorf("%q: Match(%q) = %v, want %v, %v", glob, name, got, want, err)
		}
	})
}

func TestSelectionsAreEqualIfMadeAlike(t *testing.T) {
	made := func(include, exclude string) Selection {
		var in, ex []string
		if include != "" {
			in = []string{include}
		}
		if exclude != "" {
			ex = []string{exclude}
		}
		s, err := NewSelection(in, ex)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	all := []Selection{
		{},
		made("*.dcm", ""), made("", "*.dcm"), made("*.dcm", "*.dcm"), made("/*.dcm", ""), SelectPaths(slices.Values([]string{})),
		SelectPaths(slices.Values([]string{"a"})), SelectPaths(slices.Values([]string{"b"})),
	}
	for i, a := range all {
		for j, b := range all {
			if got := a.Equal(b); got != (i == j) {
				t.Errorf("selection %d equals %d: %v", i, j, got)
			}
		}
	}
	if !made("*.dcm", "a/").Equal(made("*.dcm", "a/")) {
		t.Error("selections of the same patterns differ")
	}
}

func TestSelectPaths(t *testing.T) {
	s := SelectPaths(slices.Values([]string{"b/c", "a", "b/c"}))
	for _, p := range []string{"a", "b/c"} {
		if !s.Match(p) {
			t.Errorf("Match(%q) = false, want true", p)
		}
	}
	for _, p := range []string{"", "b", "c", "A", "b/c/d"} {
		if s.Match(p) {
			t.Errorf("Match(%q) = true, want false", p)
		}
	}
	if none := SelectPaths(slices.Values([]string{})); none.Match("a") || none.All() {
		t.Error("the selection of no path selects")
	}
}
