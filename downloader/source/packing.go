package source

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// EncodingError means that a source, or a server on the way to it, sends an object in an
// encoding that mimicsync can't decode. It isn't tried again: the answer would be the same.
type EncodingError struct {
	Encoding string // from its Content-Encoding
}

// Error names the encoding.
func (e *EncodingError) Error() string {
	return fmt.Sprintf("it has the Content-Encoding %.40q, which mimicsync didn't ask for and can't decode", e.Encoding)
}

// Packing says how a store packed the bytes of an entry, according to Content-Encoding.
type Packing int

// The kinds of Packing.
const (
	AsPublished Packing = iota // the bytes are the entry's
	Gzipped                    // the entry was compressed, as by gsutil cp -z
	OddlyPacked                // the entry was packed in a way that mimicsync can't undo
)

// PackingOf reads the Content-Encoding of an entry. For a name in .gz it describes the
// published file, which stays packed. Words that aren't encodings, like aws-chunked, are
// ignored.
func PackingOf(name, encoding string) Packing {
	var packed string
	for word := range strings.SplitSeq(strings.ToLower(encoding), ",") {
		switch word = strings.TrimSpace(word); word {
		case "gzip", "x-gzip", "br", "zstd", "deflate", "compress", "x-compress", "xz", "bzip2":
			packed = strings.TrimPrefix(word, "x-")
		}
	}
	published := map[string][]string{
		"gzip": {".gz", ".tgz", ".gzip", ".svgz", ".mgz", ".bgz", ".rds", ".rda", ".rdata"}, "br": {".br"}, "zstd": {".zst", ".zstd"}, "compress": {".z"}, "xz": {".xz", ".txz"}, "bzip2": {".bz2", ".tbz2"},
	}
	switch {
	case packed == "", slices.Contains(published[packed], strings.ToLower(path.Ext(name))):
		return AsPublished
	case packed == "gzip":
		return Gzipped
	}
	return OddlyPacked
}

// Unpack makes the Body of a whole object that is Gzipped deliver the entry's own bytes,
// whose number is unknown before the end. If the bytes aren't compressed after all, the
// object stays as it is.
func Unpack(o *Object) error {
	packed := bufio.NewReader(o.Body)
	magic, err := packed.Peek(2)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	body := struct {
		io.Reader
		io.Closer
	}{packed, o.Body}
	if bytes.Equal(magic, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(packed)
		if err != nil {
			return fmt.Errorf("undo the Content-Encoding gzip: %w", err)
		}
		body.Reader, o.Size = z, -1
	}
	o.Body = body
	return nil
}

// Judge checks the start of an answer without the headers that every answer of a store has:
// a server on the way may have sent it, or it is an error with a status of success. It
// returns the whole body if it may be the object.
func Judge(contentType string, body io.ReadCloser) (io.ReadCloser, error) {
	const enough = 512
	start := bufio.NewReaderSize(body, enough)
	head, err := start.Peek(enough)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	head = bytes.ToLower(bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf"))))
	switch {
	case strings.HasPrefix(contentType, "text/html"), IsPage(head):
		return nil, ErrWebPage
	case len(head) == 0:
		return nil, errors.New("the answer is empty; it can't be a store's")
	case bytes.HasPrefix(head, []byte("<?xml")), bytes.HasPrefix(head, []byte("<error")), bytes.HasPrefix(head, []byte("{")) && bytes.Contains(head, []byte(`"error"`)):
		return nil, errors.New("the answer is an error message, although its status says success")
	}
	return struct {
		io.Reader
		io.Closer
	}{start, body}, nil
}

// IsPage reports whether a text begins like a web page.
func IsPage(text []byte) bool {
	const enough = 512
	head := bytes.ToLower(bytes.TrimSpace(text[:min(len(text), enough)]))
	return bytes.HasPrefix(head, []byte("<!doctype html")) || bytes.HasPrefix(head, []byte("<html"))
}
