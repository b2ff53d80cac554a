package manifest

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
)

// Ref names a dataset and one of its versions. Version "" means the latest at the time of
// asking.
type Ref struct {
	Dataset, Version string
}

const (
	latest     = "latest"
	maxSlug    = 30
	maxVersion = 32
)

// Hints about valid names; every ErrBadRef ends with one.
const (
	hintRef     = "want a name like mimic-iv-demo or mimic-iv-demo@2.2"
	hintSlug    = "a name has up to 30 lower-case letters, digits and inner hyphens, like mimic-iv-demo"
	hintVersion = "a version has two or more numbers, like 2.2 or 2.1.0, or is latest"
)

// ParseRef reads "mimic-iv-demo", "mimic-iv-demo@2.2", "mimic-iv-demo@latest" or the
// address of a dataset's page or folder at PhysioNet. It rejects the address of a file or
// folder inside a dataset: fetching the whole dataset instead could mean terabytes that
// nobody asked for. The error wraps ErrBadRef and says what a valid name looks like.
func ParseRef(s string) (Ref, error) {
	text := strings.TrimSpace(s)
	if strings.Contains(text, "/") {
		return parseAddress(text)
	}
	slug, version, versioned := strings.Cut(text, "@")
	return newRef(s, slug, version, versioned)
}

func newRef(from, slug, version string, versioned bool) (Ref, error) {
	if !validSlug(slug) {
		hint := hintSlug
		if near, ok := Nearest(slug); ok {
			hint = "did you mean " + near + "? " + hintSlug
		}
		return Ref{}, badRef(from, hint)
	}
	if version == latest {
		return Ref{Dataset: slug}, nil
	}
	if versioned && !ValidVersion(version) {
		return Ref{}, badRef(from, hintVersion)
	}
	return Ref{Dataset: slug, Version: version}, nil
}

// parseAddress reads addresses that people copy from a browser.
func parseAddress(s string) (Ref, error) {
	address := s
	if !strings.Contains(s, "://") {
		address = "https://" + s
	}
	// A password before the host must not reach a log through the error.
	s = s[strings.LastIndexByte(s, '@')+1:]
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" {
		return Ref{}, badRef(s, hintRef)
	}
	if host := u.Hostname(); host != "physionet.org" && !strings.HasSuffix(host, ".physionet.org") {
		return Ref{}, badRef(s, "not an address at physionet.org; "+hintRef)
	}
	path := datasetPath(u.Path)
	switch len(path) {
	case 0:
		return Ref{}, badRef(s, "not the address of a dataset; "+hintRef)
	case 1:
		return newRef(s, path[0], "", false)
	}
	ref, err := newRef(s, path[0], path[1], true)
	if err == nil && len(path) > 2 {
		return Ref{}, badRef(s, fmt.Sprintf("the address leads to a part of %[1]s; name the dataset, %[1]s", ref))
	}
	return ref, err
}

// datasetPath returns the components of an address's path from the dataset on; none if it
// doesn't name a dataset.
func datasetPath(urlPath string) []string {
	path := strings.Split(strings.Trim(urlPath, "/"), "/")
	switch {
	case path[0] == "content", path[0] == "files", path[0] == "sign-dua":
		path = path[1:]
	case path[0] == "static" && len(path) > 1 && path[1] == "published-projects":
		path = path[2:]
	default:
		return nil
	}
	// Pages about a version have a word between dataset and version:
	// /content/mimiciv/get-zip/3.1/.
	if len(path) == 3 && !ValidVersion(path[1]) && ValidVersion(path[2]) {
		return []string{path[0], path[2]}
	}
	return path
}

func badRef(s, hint string) error {
	return fmt.Errorf("%w: %q: %s", ErrBadRef, clip(s), hint)
}

// String returns what ParseRef reads: "mimic-iv-demo@2.2", or only the dataset for the
// latest version.
func (r Ref) String() string {
	if r.Version == "" {
		return r.Dataset
	}
	return r.Dataset + "@" + r.Version
}

// validSlug is PhysioNet's rule for the names of projects.
func validSlug(s string) bool {
	if s == "" || len(s) > maxSlug || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && !isDigit(c) && (c < 'a' || 'z' < c) {
			return false
		}
	}
	return true
}

// ValidVersion reports whether s is the number of a published version: two or more numbers
// without leading zeros, joined by dots.
func ValidVersion(s string) bool {
	if len(s) > maxVersion || !strings.Contains(s, ".") {
		return false
	}
	for number := range strings.SplitSeq(s, ".") {
		if number == "" || len(number) > 1 && number[0] == '0' {
			return false
		}
		for i := range len(number) {
			if !isDigit(number[i]) {
				return false
			}
		}
	}
	return true
}

// CompareVersions returns -1, 0 or 1 if version a is older than, the same as or newer than
// b. Numbers compare as numbers, so 1.10.0 is newer than 1.2.0, and a missing one counts as
// zero; it returns 0 only for equal strings.
func CompareVersions(a, b string) int {
	for restA, restB := a, b; restA != "" || restB != ""; {
		var x, y string
		x, restA, _ = strings.Cut(restA, ".")
		y, restB, _ = strings.Cut(restB, ".")
		// Without leading zeros the longer number is larger: no overflow, however long.
		x, y = strings.TrimLeft(x, "0"), strings.TrimLeft(y, "0")
		if c := cmp.Or(cmp.Compare(len(x), len(y)), strings.Compare(x, y)); c != 0 {
			return c
		}
	}
	return strings.Compare(a, b)
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }
