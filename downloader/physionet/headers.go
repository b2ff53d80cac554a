package physionet

import (
	"fmt"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"

	"mimicsync/downloader"
)

// strongETag returns an ETag that proves bytes to be the same, see RFC 9110
// section 8.8.1, or nothing.
func strongETag(tag string) string {
	if strings.HasPrefix(tag, "W/") {
		return ""
	}
	return tag
}

// byteRange is the Range header of length bytes from offset on; a length of 0
// reaches to the end.
func byteRange(offset, length int64) string {
	s := "bytes=" + strconv.FormatInt(offset, 10) + "-"
	if length > 0 {
		s += strconv.FormatInt(offset+length-1, 10)
	}
	return s
}

// parseContentRange reads "bytes 500-999/1000" as 500, 1000, 1000: end is the
// first byte after the range, and total is -1 for "*".
func parseContentRange(s string) (start, end, total int64, ok bool) {
	var last int64
	var size string
	if n, err := fmt.Sscanf(s, "bytes %d-%d/%s", &start, &last, &size); n != 3 || err != nil || start < 0 || last < start {
		return 0, 0, 0, false
	}
	if size == "*" {
		return start, last + 1, -1, true
	}
	total, err := strconv.ParseInt(size, 10, 64)
	return start, last + 1, total, err == nil && last < total
}

// endsAsAsked reports whether an answer's range is as long as the request's.
// Where it starts is for the transfer to judge.
func endsAsAsked(r downloader.Request, end, total int64) bool {
	if r.Length > 0 {
		return end <= r.Offset+r.Length
	}
	return total < 0 || end == total
}

// maxRetryAfter bounds what a server may ask for: beyond it the pass should
// rather end and be started again.
const maxRetryAfter = time.Hour

// retryAfter reads seconds or a date, see RFC 9110 section 10.2.3.
func retryAfter(s string) time.Duration {
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return min(time.Duration(n)*time.Second, maxRetryAfter)
	}
	if t, err := http.ParseTime(s); err == nil {
		return min(max(time.Until(t), 0), maxRetryAfter)
	}
	return 0
}

func isWebPage(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	return err == nil && t == "text/html"
}

func namesWebPage(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".html", ".htm", ".xhtml":
		return true
	}
	return false
}
