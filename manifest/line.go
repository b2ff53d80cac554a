package manifest

import (
	"bytes"
	"encoding/hex"
)

// form is how a manifest separates a digest from its path.
type form byte

const (
	formUnknown form = iota
	formSpace        // one space, as PhysioNet writes
	formMode         // a space and a mode character, space or asterisk, as written by sha256sum
)

// fault says why a line isn't an entry.
type fault struct {
	why string // empty for a valid line
	cut bool   // the line is the beginning of a valid one: at the end of a file it was cut off
}

const (
	whyNotDigest = "does not begin with a SHA-256 of 64 hexadecimal digits"
	whyNoSpace   = "no space after the digest"
	whyNoPath    = "no path after the digest"
	whyBadEscape = `a backslash that is none of \\, \n and \r`
	whyTooLong   = "longer than 8192 bytes"
	whyBlank     = "an empty line"
	whyMidLine   = "no line begins here"
)

// parseLine reads a line without its line end. If both forms fit, f decides; formUnknown
// counts as formMode, because a first line that fits both is far more likely sha256sum's
// than a path that begins with a space.
func parseLine(line []byte, f form) (Entry, fault) {
	var e Entry
	line, escaped := bytes.CutPrefix(line, []byte{'\\'})
	if len(line) < hexLen {
		return e, fault{why: whyNotDigest, cut: allHex(line)}
	}
	if _, err := hex.Decode(e.Digest[:], line[:hexLen]); err != nil {
		return e, fault{why: whyNotDigest}
	}
	path := line[hexLen:]
	if len(path) > 0 && path[0] != ' ' {
		return e, fault{why: whyNoSpace}
	}
	path = path[min(len(path), 1):]
	if f != formSpace && len(path) > 0 && isMode(path[0]) {
		path = path[1:]
	}
	if len(path) == 0 {
		return e, fault{why: whyNoPath, cut: true}
	}
	if escaped {
		var bad fault
		if path, bad = unescape(path); bad.why != "" {
			return e, bad
		}
	}
	// "./" alone stays, and CheckPath rejects it.
	if len(path) > 2 && path[0] == '.' && path[1] == '/' {
		path = path[2:]
	}
	e.Path = string(path)
	return e, fault{}
}

// formOf returns the form of a valid line; formMode means that the line fits that form,
// too.
func formOf(line []byte) form {
	line = bytes.TrimPrefix(line, []byte{'\\'})
	if len(line) > hexLen+1 && isMode(line[hexLen+1]) {
		return formMode
	}
	return formSpace
}

func isMode(b byte) bool { return b == ' ' || b == '*' }

// unescape undoes sha256sum's escapes in a name with a backslash or a line break, so that
// it is shown, and rejected, as what it is.
func unescape(path []byte) ([]byte, fault) {
	plain := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		if path[i] != '\\' {
			plain = append(plain, path[i])
			continue
		}
		i++
		if i == len(path) {
			return nil, fault{why: whyBadEscape, cut: true}
		}
		switch path[i] {
		case '\\':
			plain = append(plain, '\\')
		case 'n':
			plain = append(plain, '\n')
		case 'r':
			plain = append(plain, '\r')
		default:
			return nil, fault{why: whyBadEscape}
		}
	}
	return plain, fault{}
}

func trimEOL(line []byte) []byte {
	line = bytes.TrimSuffix(line, []byte{'\n'})
	return bytes.TrimSuffix(line, []byte{'\r'})
}

func blank(text []byte) bool {
	// Nearly every line ends the search at its first byte.
	return len(bytes.TrimLeft(text, " \t\r")) == 0
}

func looksLikeHTML(line []byte) bool {
	return bytes.HasPrefix(bytes.TrimLeft(line, " \t\r\n"), []byte{'<'})
}

func allHex(text []byte) bool {
	for _, b := range text {
		switch {
		case '0' <= b && b <= '9', 'a' <= b && b <= 'f', 'A' <= b && b <= 'F':
		default:
			return false
		}
	}
	return true
}
