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

// Selection says which entries of a manifest a person wants. An entry is selected if some include pattern matches
// its path, or there is none, and no exclude pattern does. The zero value selects everything. A Selection does not
// change and is safe for concurrent use.
//
// Patterns tell case apart and are built from
//
//   - any characters but "/"
//     ?        one character but "/"
//     **       any characters, "/" included; "**/" also matches no folder at all
//     [a-z]    one character of the set, [!a-z] or [^a-z] one outside it, never "/"
//     {a,b}    one of the alternatives, which may hold patterns
//
// Where a pattern must match depends on its slashes:
//
//	*.dcm            no slash: the file's name, in any folder
//	hosp/*.csv.gz    a slash: the whole path, from the root of the version
//	/README.txt      a slash in front: the root itself
//	files/p10/       a slash at the end: everything beneath that folder
//	files/p10        no wildcard: that file, or everything beneath that folder
type Selection struct {
	include, exclude []pattern
	only             []uint64 // hashes of paths, sorted; nil: any path
}

type pattern struct {
	match  *regexp.Regexp
	onName bool // match the file's name and not its path
}

// NewSelection compiles patterns. The error names the one that is wrong and says why.
func NewSelection(include, exclude []string) (Selection, error) {
	in, err := compilePatterns("include", include)
	if err != nil {
		return Selection{}, err
	}
	ex, err := compilePatterns("exclude", exclude)
	if err != nil {
		return Selection{}, err
	}
	return Selection{include: in, exclude: ex}, nil
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

// All reports whether s selects everything by having nothing to select by.
func (s Selection) All() bool { return len(s.include) == 0 && len(s.exclude) == 0 && s.only == nil }

// HasPatterns reports whether s selects by what a person wrote, and not by paths alone.
func (s Selection) HasPatterns() bool { return len(s.include)+len(s.exclude) > 0 }

// Equal reports whether s and other were made alike.
func (s Selection) Equal(other Selection) bool {
	same := func(a, b pattern) bool { return a.onName == b.onName && a.match.String() == b.match.String() }
	return slices.EqualFunc(s.include, other.include, same) && slices.EqualFunc(s.exclude, other.exclude, same) &&
		(s.only == nil) == (other.only == nil) && slices.Equal(s.only, other.only)
}

// SelectPaths selects the entries with just these paths, in 8 bytes for each: they may be those of a whole dataset.
// Another path that has the hash of one of them is selected too, once in 2^64 times the number of paths.
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
