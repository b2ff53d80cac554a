package manifest

import (
	"errors"
	"fmt"
	"strings"
)

// These say that a whole manifest is unusable: it is to be fetched again, or from another source.
var (
	// ErrEmpty means that a manifest has no entry. A published version is never empty, so something cut it short.
	ErrEmpty = errors.New("the manifest is empty")
	// ErrHTML means that a web page, most likely a login or error page, came in place of a manifest.
	ErrHTML = errors.New("the server sent a web page instead of the manifest")
	// ErrTorn means that a manifest ends in the middle of its last line.
	ErrTorn = errors.New("the manifest is cut off in its last line")
)

var (
	// ErrUnsafePath means that a path must not be created below a mirror.
	ErrUnsafePath = errors.New("unsafe path")
	// ErrBadRef means that a text names no dataset.
	ErrBadRef = errors.New("not a dataset")
)

// SyntaxError is a line of a manifest that is no entry.
type SyntaxError struct {
	Line    int    // counted from 1; 0 where only the offset is known
	Offset  int64  // of the line's first byte
	Why     string // what a reader of the file should look for
	Snippet string // the line's beginning, at most 40 bytes, as it came
}

// Error names the place, the cause and the line's beginning.
func (e *SyntaxError) Error() string {
	place := fmt.Sprintf("byte %d", e.Offset)
	if e.Line > 0 {
		place = fmt.Sprintf("line %d", e.Line)
	}
	return fmt.Sprintf("%s: %s: %s: %q", Name, place, e.Why, e.Snippet)
}

// snippetLen bounds what an error repeats of a text from outside.
const snippetLen = 40

// clip shortens a text from outside for an error message. It clones, so that the error does not keep the text alive.
func clip[T string | []byte](s T) string {
	return strings.Clone(string(s[:min(len(s), snippetLen)]))
}
