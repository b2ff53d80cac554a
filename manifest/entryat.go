package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// EntryAt returns the one entry whose line starts at offset, as a Reader of the same
// manifest returns it. It turns a saved Offset back into path and digest.
//
// If no line starts at offset, the error is a *SyntaxError; beyond the end it is
// io.ErrUnexpectedEOF: the offset belongs to another manifest. EntryAt is safe for
// concurrent use, like io.ReaderAt.
func EntryAt(r io.ReaderAt, offset int64) (Entry, error) {
	line, last, err := lineAt(r, offset)
	if err != nil {
		return Entry{}, err
	}
	text := trimEOL(line)
	if blank(text) {
		return Entry{}, &SyntaxError{Offset: offset, Why: whyBlank, Snippet: clip(text)}
	}
	f := formOf(text)
	if f == formMode {
		if f, err = fileForm(r, offset+int64(len(line))); err != nil {
			return Entry{}, err
		}
	}
	e, bad := parseLine(text, f)
	switch {
	case bad.why == "":
		e.Offset = offset
		return e, nil
	case last && bad.cut:
		return Entry{}, fmt.Errorf("byte %d: %w: %q", offset, ErrTorn, clip(text))
	default:
		return Entry{}, &SyntaxError{Offset: offset, Why: bad.why, Snippet: clip(text)}
	}
}

// fileForm returns the form that the first entry of r sets; it reads no further than end.
func fileForm(r io.ReaderAt, end int64) (form, error) {
	first := newReader(io.NewSectionReader(r, 0, end), 2*maxLine)
	if _, err := first.Next(); err != nil {
		return formUnknown, fmt.Errorf("first entry: %w", err)
	}
	return first.form, nil
}

// lineAt returns the line that starts at offset, with its line end; last means that it has
// none.
func lineAt(r io.ReaderAt, offset int64) (line []byte, last bool, err error) {
	if offset < 0 {
		return nil, false, fmt.Errorf("entry at byte %d: negative offset", offset)
	}
	// The bytes before the line prove that it starts here. Most lines fit in the first,
	// short read.
	before := int(min(offset, int64(len(bom))))
	for _, size := range []int{512, maxLine + 1} {
		buf := make([]byte, before+size)
		n, err := r.ReadAt(buf, offset-int64(before))
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, false, fmt.Errorf("entry at byte %d: %w", offset, err)
		}
		if n <= before {
			return nil, false, fmt.Errorf("entry at byte %d: %w", offset, io.ErrUnexpectedEOF)
		}
		buf = buf[:n]
		line = buf[before:]
		if !startsLine(buf[:before], offset) {
			return nil, false, &SyntaxError{Offset: offset, Why: whyMidLine, Snippet: clip(line)}
		}
		if i := bytes.IndexByte(line, '\n'); i >= 0 && i < maxLine {
			return line[:i+1], false, nil
		}
		if n < before+size && len(line) <= maxLine {
			return line, true, nil
		}
	}
	return nil, false, &SyntaxError{Offset: offset, Why: whyTooLong, Snippet: clip(line)}
}

func startsLine(before []byte, offset int64) bool {
	return offset == 0 || before[len(before)-1] == '\n' || offset == int64(len(bom)) && string(before) == bom
}
