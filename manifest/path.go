package manifest

import (
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	// stateFolder is where a mirror keeps its own files; nothing else may have that name.
	stateFolder = ".mimicsync"
	// maxComponent is the longest name that common file systems accept.
	maxComponent = 255
	// maxPath leaves room for the mirror's own path within Linux's limit of 4096 bytes.
	maxPath = 4000
)

// CheckPath checks whether an outside path may be created below
// <mirror>/<dataset>/<version>/. It returns nil, or an error that wraps ErrUnsafePath and
// says what is wrong. The rules are the same on every system, so that a mirror can be
// copied from one to another; in addition, it rejects names that this system can't have.
//
// It judges only the name. os.Root takes care that no symlink leads elsewhere.
func CheckPath(path string) error {
	if why := unsafeWhy(path); why != "" {
		return fmt.Errorf("%w: %s: %q", ErrUnsafePath, why, clip(path))
	}
	return nil
}

func unsafeWhy(path string) string {
	switch {
	case path == "":
		return "empty"
	case len(path) > maxPath:
		return "longer than 4000 bytes"
	case path[0] == '/':
		return "absolute"
	case path[len(path)-1] == '/':
		return "ends in a slash"
	case len(path) > 1 && path[1] == ':' && isLetter(path[0]):
		return "names a Windows drive"
	case strings.EqualFold(path, Name):
		return "the manifest's own name"
	}
	if why := unsafeCharacter(path); why != "" {
		return why
	}
	for rest, more := path, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		if why := unsafeComponent(name); why != "" {
			return why
		}
	}
	if _, err := filepath.Localize(path); err != nil {
		return "this system can't have a file of that name"
	}
	return ""
}

func unsafeCharacter(path string) string {
	ascii := true
	for i := range len(path) {
		switch b := path[i]; {
		case b == '\\':
			return "contains a backslash"
		case b < ' ', b == 0x7f:
			return "contains a control character"
		case b >= utf8.RuneSelf:
			ascii = false
		}
	}
	if ascii {
		return ""
	}
	if !utf8.ValidString(path) {
		return "not UTF-8"
	}
	if strings.ContainsFunc(path, unicode.IsControl) {
		return "contains a control character"
	}
	return ""
}

func unsafeComponent(name string) string {
	switch {
	case name == "":
		return "contains an empty folder name"
	case name == ".", name == "..":
		return "contains the component " + name
	case len(name) > maxComponent:
		return "a component is longer than 255 bytes"
	// Windows, and shares that it serves, drop dots and spaces at the end of a name.
	case name[0] == '.' && strings.EqualFold(strings.TrimRight(name, ". "), stateFolder):
		return "contains the mirror's own folder " + stateFolder
	}
	return ""
}

func isLetter(b byte) bool { return 'a' <= b|0x20 && b|0x20 <= 'z' }
