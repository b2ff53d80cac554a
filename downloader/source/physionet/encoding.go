package physionet

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"mimicsync/downloader/source"
)

// contentEncoding is the encoding of an answer's bytes, in lower case; empty for none or
// "identity".
func contentEncoding(r *http.Response) string {
	var all []string
	for e := range strings.SplitSeq(strings.Join(r.Header.Values("Content-Encoding"), ","), ",") {
		if e = strings.ToLower(strings.TrimSpace(e)); e != "" && e != "identity" {
			all = append(all, e)
		}
	}
	return strings.Join(all, ", ")
}

func isGzip(encoding string) bool { return encoding == "gzip" || encoding == "x-gzip" }

// namesGzip reports whether the entry itself is compressed.
func namesGzip(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".gz", ".tgz", ".svgz", ".mgz", ".bgz", ".rds", ".rda", ".rdata":
		return true
	}
	return false
}

// decode undoes a Content-Encoding. It comes despite Accept-Encoding: identity from servers
// that compress on the fly, and from those that take the format of a .gz file for one. The
// first bytes show which it is.
func decode(o *source.Object, r *http.Response, name string) error {
	encoding := contentEncoding(r)
	switch {
	case encoding == "":
		return nil
	case !isGzip(encoding):
		return &source.EncodingError{Encoding: encoding}
	case r.StatusCode == http.StatusPartialContent: // of an entry that is compressed itself, see beyondUse
		return nil
	}
	buffered := bufio.NewReaderSize(o.Body, 4<<10)
	start, err := buffered.Peek(buffered.Size())
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	body := &wrapped{buffered, o.Body}
	o.Body = body
	if !beginsGzip(start) || namesGzip(name) && !beginsGzip(gunzipped(start)) {
		return nil // the bytes are the entry's: the label is wrong
	}
	z, err := gzip.NewReader(buffered)
	if err != nil {
		return fmt.Errorf("undo its Content-Encoding: %w", err)
	}
	body.Reader = z
	o.Size, o.Validator = -1, "" // those of the compressed bytes
	return nil
}

// wrapped reads a body through another reader.
type wrapped struct {
	io.Reader
	io.Closer
}

// beginsGzip reports whether bytes begin like RFC 1952 says.
func beginsGzip(b []byte) bool { return bytes.HasPrefix(b, []byte{0x1f, 0x8b, 8}) }

// gunzipped is the very beginning of the decompressed data.
func gunzipped(start []byte) []byte {
	z, err := gzip.NewReader(bytes.NewReader(start))
	if err != nil {
		return nil
	}
	first := make([]byte, 3)
	n, _ := io.ReadFull(z, first) // the data may end early, and start does
	return first[:n]
}
