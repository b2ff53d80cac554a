package manifest

import (
	"errors"
	"fmt"
	"strings"
)

// These errors mean that a whole manifest is unusable: fetch it again, or from another
// source.
var (
	// ErrEmpty means that a manifest has no entries. A published version is never empty, so
	// something cut it off.
	ErrEmpty = errors.New("the manifest is empty")
	// ErrHTML means that the server sent a web page, probably a login or error page,
	// instead of a manifest.
	ErrHTML = errors.New("the server sent a web page instead of the manifest")
	// ErrTorn means that a manifest ends in the middle of its last line.
	ErrTorn = errors.New("the manifest is cut off in its last line")
)

var (
	// ErrUnsafePath means that a path must not be created in a mirror.
	ErrUnsafePath = errors.New("unsafe path")
	// ErrBadRef means that a text doesn't name a dataset.
	ErrBadRef = errors.New("not a dataset")
)

// SyntaxError is a line of a manifest that isn't an entry.
type SyntaxError struct {
	Line    int    // counted from 1; 0 if only the offset is known
	Offset  int64  // of the line's first byte
	Why     string // what to look for in the file
	Snippet string // the beginning of the line, at most 40 bytes, unchanged
}

// Error names the place, the cause and the line's beginning.
func (e *SyntaxError) Error() string {
	place := fmt.Sprintf("byte %d", e.Offset)
	if e.Line > 0 {
		place = fmt.Sprintf("line %d", e.Line)
	}
	return fmt.Sprintf("%s: %s: %s: %q", Name, place, e.Why, e.Snippet)
}

// snippetLen limits how much of an outside text an error repeats.
const snippetLen = 40

// clip shortens an outside text for an error message. It clones, so that the error doesn't
// keep the whole text in memory.
func clip[T string | []byte](s T) string {
	return strings.Clone(string(s[:min(len(s), snippetLen)]))
}
