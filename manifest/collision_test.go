package manifest

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// list writes a manifest of paths; a path's digest is its own unless "=N" is appended to it.
func list(paths ...string) string {
	var text strings.Builder
	for _, path := range paths {
		path, seed, _ := strings.Cut(path, "=")
		var d Digest
		copy(d[:], path)
		copy(d[30:], seed)
		fmt.Fprintf(&text, "%s %s\n", d, path)
	}
	return text.String()
}

func TestCollisions(t *testing.T) {
	tests := []struct {
		name  string
		paths []string
		want  []Collision
	}{
		{"none", []string{"a", "b", "a.txt", "x/a", "x/b", "y/a"}, nil},
		{"same path, same digest", []string{"x/a", "x/b", "x/a", "x/a"}, nil},
		{"same path, two digests", []string{"x/a", "x/b", "x/a=2", "x/a=2"}, []Collision{{"x/a", "x/a", true, false}}},
		{"same path, three digests", []string{"a", "a=2", "a=3"}, []Collision{{"a", "a", true, false}, {"a", "a", true, false}}},
		{"case of a file", []string{"x/README", "x/readme=2"}, []Collision{{"x/readme", "x/README", false, false}}},
		{"case of a file beyond ASCII", []string{"\u00c4", "\u00e4"}, []Collision{{"\u00e4", "\u00c4", false, false}}},
		{"three cases", []string{"a.b", "A.b", "a.B"}, []Collision{{"A.b", "a.b", false, false}, {"a.B", "a.b", false, false}}},
		{"folders, once", []string{"files/A/x", "files/a/y", "files/a/z"}, []Collision{{"files/a/y", "files/A/x", false, false}}},
		{"folders that take turns", []string{"A/x", "a/y", "A/z", "a/w"}, []Collision{{"a/y", "A/x", false, false}}},
		{"folder and file in it", []string{"A/x", "a/y", "A/y"}, []Collision{{"a/y", "A/x", false, false}, {"A/y", "a/y", false, false}}},
		{"deep folders, once", []string{"A/b/c/x", "a/b/c/x"}, []Collision{{"a/b/c/x", "A/b/c/x", false, false}}},
		{"file, then folder", []string{"a", "a/b", "a/c"}, []Collision{{"a/b", "a", true, false}}},
		{"folder, then file", []string{"a/b", "a"}, []Collision{{"a", "a/b", true, false}}},
		{"folder and file by case", []string{"A/b", "a"}, []Collision{{"a", "A/b", false, false}}},
		{
			"dots and spaces at the end",
			[]string{"notes", "notes. .", "x/notes", "y /z", "y/z"},
			[]Collision{{"notes. .", "notes", false, true}, {"y/z", "y /z", false, true}},
		},
		{
			"a dot, and case",
			[]string{"a.", "A", "a", "b.", "B"},
			[]Collision{{"A", "a.", false, true}, {"a", "A", false, false}, {"B", "b.", false, true}},
		},
		{"dots elsewhere", []string{".a", "a", "a.b", "a .b", " a"}, nil},
		{"unsafe paths do not count", []string{"../a", "../A", "a//b", "A//b"}, nil},
		{"sibling folders unsorted", []string{"x/a", "y/a", "x/b", "y/b", "x/c/d", "x/e", "x/c/f"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			text := list(tt.paths...)
			for _, limit := range []int{4, maxSightings} {
				got, err := collisions(strings.NewReader(text), int64(len(text)), limit)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("collisions(%v, limit %d): -want +got\n%s", tt.paths, limit, diff)
				}
			}
		})
	}
}

// A manifest far larger than a scan may hold, in an order that repeats every folder, with collisions far apart.
func TestCollisionsInParts(t *testing.T) {
	var paths []string
	for i := range 5000 {
		paths = append(paths, fmt.Sprintf("d%d/f%d", i%97, i))
	}
	random := rand.New(rand.NewPCG(1, 2))
	random.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	var want []Collision
	for i := 0; i < 5000; i += 100 {
		later := strings.Replace(paths[i], "f", "F", 1)
		want = append(want, Collision{Path: later, With: paths[i]})
		paths = append(paths, later)
	}
	text := list(paths...)
	for _, limit := range []int{200, 1000, maxSightings} {
		got, err := collisions(strings.NewReader(text), int64(len(text)), limit)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("collisions(limit %d): -want +got\n%s", limit, diff)
		}
	}
}

func TestCollisionsAreCapped(t *testing.T) {
	var paths []string
	for i := range maxCollisions + 10 {
		paths = append(paths, fmt.Sprintf("f%d", i), fmt.Sprintf("F%d", i))
	}
	text := list(paths...)
	got, err := Collisions(strings.NewReader(text), int64(len(text)))
	if err != nil || len(got) != maxCollisions {
		t.Fatalf("Collisions() = %d of them, %v, want %d", len(got), err, maxCollisions)
	}
	if want := (Collision{Path: "F0", With: "f0"}); got[0] != want {
		t.Errorf("first collision = %v, want %v", got[0], want)
	}
}

func TestCollisionsOfABrokenManifest(t *testing.T) {
	const text = hexA + " a\ngarbage\n"
	if got, err := Collisions(strings.NewReader(text), int64(len(text))); err == nil {
		t.Errorf("Collisions() = %v, nil, want a *SyntaxError", got)
	}
}

func TestAppendFoldAgreesWithEqualFold(t *testing.T) {
	words := []string{
		"k", "K", "\u212a", "s", "S", "\u017f", "\u00df", "\u1e9e", "i", "I", "\u0130", "\u0131", "\u03c3", "\u03c2",
		"\u03a3", "\u00b5", "\u03bc", "\U00010400", "\U00010428", "e\u0301", "\u00e9", "\u00c9", "-", "[", "{",
	}
	for _, a := range words {
		for _, b := range words {
			got := string(appendFold(nil, a)) == string(appendFold(nil, b))
			if want := strings.EqualFold(a, b); got != want {
				t.Errorf("fold(%q) == fold(%q) = %v, want %v", a, b, got, want)
			}
		}
	}
}

// Names of 3 KB in thousands of collisions do not fill the memory.
func TestCollisionsOfLongNamesAreFew(t *testing.T) {
	var text strings.Builder
	long := strings.Repeat(strings.Repeat("f", 249)+"/", 14)
	for i := range 4000 {
		fmt.Fprintf(&text, "%064x  %s%d.csv\n%064x  %s%d.CSV\n", i, long, i, i, long, i)
	}
	found, err := Collisions(strings.NewReader(text.String()), int64(text.Len()))
	held := 0
	for _, c := range found {
		held += len(c.Path) + len(c.With)
	}
	if err != nil || len(found) == 0 || held > 2*maxHeld {
		t.Errorf("Collisions = %d with %d bytes of names, %v, want some, and at most %d bytes", len(found), held, err, 2*maxHeld)
	}
}
