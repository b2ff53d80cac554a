package manifest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"strings"
)

// Selection says which entries of a manifest to fetch. An entry is selected if an include pattern matches its path, or
// there are no include patterns, and no exclude pattern matches it. The zero value selects everything. A Selection
// never changes and is safe for concurrent use.
//
// Patterns are case-sensitive and consist of
//
//   - any characters but "/"
//     ?        one character but "/"
//     **       any characters, including "/"; "**/" also matches no folder
//     [a-z]    one character of the set, [!a-z] or [^a-z] one outside it, never "/"
//     {a,b}    one of the alternatives, which may contain patterns
//
// Where a pattern must match depends on its slashes:
//
//	*.dcm            no slash: the file's name, in any folder
//	hosp/*.csv.gz    a slash: the whole path, from the root of the version
//	/README.txt      a slash at the beginning: the root itself
//	files/p10/       a slash at the end: everything below that folder
//	files/p10        no wildcard: that file, or everything below that folder
type Selection struct {
	include, exclude []pattern
	globs            Globs
	only             []uint64 // hashes of paths, sorted; nil: any path
}

// Globs are the patterns of a Selection as they were written.
type Globs struct {
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
}

// String describes the patterns, like "include hosp/**, icu/**; exclude *.dcm". It is empty
// if there are none.
func (g Globs) String() string {
	var parts []string
	if len(g.Include) > 0 {
		parts = append(parts, "include "+strings.Join(g.Include, ", "))
	}
	if len(g.Exclude) > 0 {
		parts = append(parts, "exclude "+strings.Join(g.Exclude, ", "))
	}
	return strings.Join(parts, "; ")
}

// Equal reports whether both have the same patterns.
func (g Globs) Equal(other Globs) bool {
	return slices.Equal(g.Include, other.Include) && slices.Equal(g.Exclude, other.Exclude)
}

type pattern struct {
	match  *regexp.Regexp
	onName bool // match the file's name and not its path
}

// NewSelection compiles patterns. The error names the first wrong one and says why.
func NewSelection(include, exclude []string) (Selection, error) {
	in, err := compilePatterns("include", include)
	if err != nil {
		return Selection{}, err
	}
	ex, err := compilePatterns("exclude", exclude)
	if err != nil {
		return Selection{}, err
	}
	return Selection{include: in, exclude: ex, globs: Globs{include, exclude}}, nil
}

// Match reports whether the entry with this path is selected.
func (s Selection) Match(path string) bool {
	if s.only != nil {
		if _, ok := slices.BinarySearch(s.only, hashPath(path)); !ok {
			return false
		}
	}
	return (len(s.include) == 0 || anyMatch(s.include, path)) && !anyMatch(s.exclude, path)
}

// All reports whether s selects everything because it has no rules.
func (s Selection) All() bool { return len(s.include) == 0 && len(s.exclude) == 0 && s.only == nil }

// Globs returns the patterns.
func (s Selection) Globs() Globs { return s.globs }

// IsList reports whether s selects by a list of paths.
func (s Selection) IsList() bool { return s.only != nil }

// HasPatterns reports whether s has patterns, and not only paths.
func (s Selection) HasPatterns() bool { return len(s.include)+len(s.exclude) > 0 }

// Equal reports whether s and other have the same rules.
func (s Selection) Equal(other Selection) bool {
	same := func(a, b pattern) bool { return a.onName == b.onName && a.match.String() == b.match.String() }
	return slices.EqualFunc(s.include, other.include, same) && slices.EqualFunc(s.exclude, other.exclude, same) &&
		(s.only == nil) == (other.only == nil) && slices.Equal(s.only, other.only)
}

// SelectPaths selects exactly the entries with these paths, with 8 bytes for each: there
// may be as many as in a whole dataset. Another path with the same hash is selected, too,
// with a probability of the number of paths divided by 2^64.
func SelectPaths(paths iter.Seq[string]) Selection {
	only := []uint64{}
	for p := range paths {
		only = append(only, hashPath(p))
	}
	slices.Sort(only)
	return Selection{only: slices.Compact(only)}
}

func hashPath(path string) uint64 {
	sum := sha256.Sum256([]byte(path))
	return binary.BigEndian.Uint64(sum[:])
}

func anyMatch(patterns []pattern, path string) bool {
	name := path[strings.LastIndexByte(path, '/')+1:]
	for _, p := range patterns {
		text := path
		if p.onName {
			text = name
		}
		if p.match.MatchString(text) {
			return true
		}
	}
	return false
}

func compilePatterns(role string, globs []string) ([]pattern, error) {
	var compiled []pattern
	size := 0
	for _, glob := range globs {
		if size += len(glob); size > maxGlobs {
			return nil, fmt.Errorf("the %s patterns are longer than %d bytes in total; each ** or {a,b} counts several times", role, maxGlobs)
		}
		p, err := compilePattern(glob)
		if err != nil {
			return nil, fmt.Errorf("%s pattern %.200q: %w", role, glob, err)
		}
		compiled = append(compiled, p)
	}
	return compiled, nil
}

func compilePattern(glob string) (pattern, error) {
	if len(glob) > maxGlob {
		return pattern{}, errGlobLong
	}
	onName := !strings.Contains(glob, "/")
	body := strings.TrimPrefix(strings.TrimPrefix(glob, "./"), "/")
	folder := strings.HasSuffix(glob, "/")
	body = strings.TrimSuffix(body, "/")
	expr, err := globExpr(body)
	if err != nil {
		return pattern{}, err
	}
	switch {
	case glob == "":
		return pattern{}, errGlobEmpty
	case folder && body == "":
		expr = ".+"
	case folder:
		expr += "/.+"
	case !onName && !strings.ContainsAny(body, "*?[{"):
		expr += "(?:/.+)?"
	}
	match, err := regexp.Compile(`(?s)\A(?:` + expr + `)\z`)
	if err != nil {
		return pattern{}, fmt.Errorf("too long or too deeply nested: %w", err)
	}
	return pattern{match: match, onName: onName}, nil
}
