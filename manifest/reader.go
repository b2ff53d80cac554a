// Package manifest knows the contents of published datasets: the SHA256SUMS.txt of a
// version, which of its paths may be created in a mirror, which part of it is selected, and
// which datasets exist.
//
// A manifest is untrusted input. The Reader accepts a file as a whole or says why not,
// CheckPath decides for each entry whether it may become a file, and Collisions finds
// entries that would overwrite one another. Everything streams: memory use is the same for
// 34 entries and for ten million.
//
// The package touches neither the disk nor the network.
package manifest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Name is the file name of a manifest, in the root of every version.
const Name = "SHA256SUMS.txt"

// Entry is one line of a manifest.
type Entry struct {
	Path   string // relative, separated by "/", as in the manifest: CheckPath judges it
	Digest Digest
	Offset int64 // of the line's first byte: increases from entry to entry, and identifies this one
}

const (
	bufferSize = 128 << 10
	// maxLine limits a line with its line end. A longer one isn't an entry: no system
	// accepts such a path.
	maxLine = 8 << 10
)

const bom = "\xef\xbb\xbf"

// Reader streams the entries of a manifest. It reads PhysioNet's form (digest, one space,
// path), those of sha256sum (two spaces, or a space and an asterisk, and the escaped form
// that begins with a backslash), and lines that end in LF or CRLF. It skips blank lines and
// a byte order mark at the beginning, and drops one "./" at the beginning of a path.
//
// A path that begins with a space or an asterisk has two readings; the first entry then
// decides for the whole file.
//
// A Reader is not safe for concurrent use.
type Reader struct {
	buf          *bufio.Reader
	offset       int64 // of the next line
	line         int   // of the line read last
	form         form  // of the first entry; formUnknown before it
	unterminated bool
	itself       bool  // a line is about the manifest
	err          error // the first error, which every later Next returns again
}

// NewReader returns a Reader of the manifest r. It reads ahead.
func NewReader(r io.Reader) *Reader { return newReader(r, bufferSize) }

func newReader(r io.Reader, size int) *Reader {
	return &Reader{buf: bufio.NewReaderSize(r, size)}
}

// Next returns the next entry, or io.EOF after the last. After a *SyntaxError, ErrEmpty,
// ErrHTML or ErrTorn the whole manifest is unusable, including the entries before; any
// other error is the underlying reader's. After an error, every call returns the same one.
func (r *Reader) Next() (Entry, error) {
	if r.err != nil {
		return Entry{}, r.err
	}
	e, err := r.next()
	r.err = err
	return e, err
}

// Unusable reports whether an error of Next means that the manifest is unusable, and
// doesn't come from the underlying reader.
func (r *Reader) Unusable() bool {
	_, syntax := errors.AsType[*SyntaxError](r.err)
	return syntax || errors.Is(r.err, ErrEmpty) || errors.Is(r.err, ErrHTML) || errors.Is(r.err, ErrTorn)
}

// Unterminated reports, after io.EOF, whether the last line has no newline. Its path may
// then be cut off: a digest that never matches is the only other sign.
func (r *Reader) Unterminated() bool { return r.unterminated }

// NamesItself reports whether a line before the last returned entry was about the manifest
// itself, a mistake of authors who redirect the output of sha256sum into the folder that it
// reads. Such a line isn't an entry: its digest can't be that of the file that it is in.
func (r *Reader) NamesItself() bool { return r.itself }

func (r *Reader) next() (Entry, error) {
	for {
		line, start, err := r.readLine()
		if err != nil && !errors.Is(err, io.EOF) {
			return Entry{}, err
		}
		text := trimEOL(line)
		if !blank(text) {
			e, perr := r.parse(text, start, err != nil)
			if perr != nil || !r.isItself(e.Path) {
				return e, perr
			}
			r.itself = true
		}
		if err != nil {
			return Entry{}, r.end()
		}
	}
}

// isItself reports whether a path is that of the manifest, also in a line of sha256sum's
// that somebody has added to lines in PhysioNet's form.
func (r *Reader) isItself(path string) bool {
	if r.form == formSpace && isMode(path[0]) {
		path = path[1:]
	}
	return strings.TrimPrefix(path, "./") == Name
}

// readLine returns the next line with its line end, valid until the next call, and where it
// starts. The error is io.EOF for a line without a newline, which may be empty.
func (r *Reader) readLine() (line []byte, start int64, err error) {
	line, err = r.buf.ReadSlice('\n')
	start = r.offset
	r.offset += int64(len(line))
	r.line++
	if start == 0 && bytes.HasPrefix(line, []byte(bom)) {
		line, start = line[len(bom):], int64(len(bom))
	}
	if r.form == formUnknown && looksLikeHTML(line) {
		return nil, start, ErrHTML
	}
	if len(line) > maxLine || errors.Is(err, bufio.ErrBufferFull) {
		return nil, start, r.syntaxError(line, start, whyTooLong)
	}
	return line, start, err
}

func (r *Reader) parse(text []byte, start int64, last bool) (Entry, error) {
	e, fault := parseLine(text, r.form)
	switch {
	case fault.why == "":
		e.Offset = start
		if r.form == formUnknown {
			r.form = formOf(text)
		}
		r.unterminated = last
		return e, nil
	case last && fault.cut:
		return Entry{}, fmt.Errorf("line %d: %w: %q", r.line, ErrTorn, clip(text))
	default:
		return Entry{}, r.syntaxError(text, start, fault.why)
	}
}

// end distinguishes a manifest that has ended from one that never began.
func (r *Reader) end() error {
	if r.form == formUnknown {
		return ErrEmpty
	}
	return io.EOF
}

func (r *Reader) syntaxError(text []byte, start int64, why string) error {
	return &SyntaxError{Line: r.line, Offset: start, Why: why, Snippet: clip(text)}
}
