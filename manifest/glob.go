package manifest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxGlob limits a pattern, and maxGlobs all patterns of a list, in bytes: one takes up to
// a hundred times as much memory, and each is tried on each path.
const (
	maxGlob  = 4 << 10
	maxGlobs = 256 << 10
)

var (
	errGlobEmpty     = errors.New("it is empty")
	errGlobLong      = fmt.Errorf("it is longer than %d bytes", maxGlob)
	errGlobUTF8      = errors.New("it is not UTF-8")
	errGlobBackslash = errors.New(`folders are separated by "/", and a backslash has no meaning; [*] matches an asterisk`)
	errGlobBrace     = errors.New("a { has no }")
	errGlobNoBrace   = errors.New("a } has no {; [}] matches the character")
	errGlobSet       = errors.New("a [ has no ]; [[] matches the character")
	errGlobSetSlash  = errors.New(`a set cannot hold "/"`)
	errGlobRange     = errors.New("a range in [ ] runs backwards")
)

// globExpr translates a glob to a regular expression, without anchors. Braces become groups.
func globExpr(glob string) (string, error) {
	if !utf8.ValidString(glob) {
		return "", errGlobUTF8
	}
	var (
		expr  strings.Builder
		depth int
	)
	for i := 0; i < len(glob); {
		rest := glob[i:]
		took := 1
		switch c := glob[i]; {
		case c == '\\':
			return "", errGlobBackslash
		case c == '*':
			took = writeStars(&expr, rest, i == 0 || strings.IndexByte("/{,", glob[i-1]) >= 0)
		case c == '?':
			expr.WriteString("[^/]")
		case c == '[':
			n, err := writeSet(&expr, rest)
			if err != nil {
				return "", err
			}
			took = n
		case c == '{':
			depth++
			expr.WriteString("(?:")
		case c == '}':
			if depth--; depth < 0 {
				return "", errGlobNoBrace
			}
			expr.WriteByte(')')
		case c == ',' && depth > 0:
			expr.WriteByte('|')
		default:
			_, took = utf8.DecodeRuneInString(rest)
			expr.WriteString(regexp.QuoteMeta(rest[:took]))
		}
		i += took
	}
	if depth > 0 {
		return "", errGlobBrace
	}
	return expr.String(), nil
}

// writeStars translates the asterisks at the beginning of s and returns how many bytes it
// used. At the start of a component, "**/" matches any number of folders.
func writeStars(expr *strings.Builder, s string, atStart bool) int {
	stars := len(s) - len(strings.TrimLeft(s, "*"))
	switch {
	case stars == 1:
		expr.WriteString("[^/]*")
	case atStart && strings.HasPrefix(s[stars:], "/"):
		expr.WriteString("(?:.*/)?")
		return stars + 1
	default:
		expr.WriteString(".*")
	}
	return stars
}

// writeSet translates the set at the beginning of s and returns how many bytes it used. A
// "]" at its beginning and a "-" at either end are literal.
func writeSet(expr *strings.Builder, s string) (int, error) {
	set := []rune(s[1:])
	at := 0
	expr.WriteByte('[')
	if len(set) > 0 && (set[0] == '!' || set[0] == '^') {
		expr.WriteString("^/")
		at = 1
	}
	for first := at; ; at++ {
		if at >= len(set) {
			return 0, errGlobSet
		}
		if set[at] == ']' && at > first {
			break
		}
		low, high := set[at], set[at]
		if at+2 < len(set) && set[at+1] == '-' && set[at+2] != ']' {
			at += 2
			high = set[at]
		}
		switch {
		case low == '/' || high == '/':
			return 0, errGlobSetSlash
		case low == '\\' || high == '\\':
			return 0, errGlobBackslash
		case low > high:
			return 0, errGlobRange
		}
		writeRange(expr, low, high)
	}
	expr.WriteByte(']')
	return 1 + len(string(set[:at+1])), nil
}

// writeRange omits "/" from a range that includes it: a set matches within one component.
func writeRange(expr *strings.Builder, low, high rune) {
	if low < '/' && '/' < high {
		writeRange(expr, low, '/'-1)
		low = '/' + 1
	}
	fmt.Fprintf(expr, `\x{%x}-\x{%x}`, low, high)
}
