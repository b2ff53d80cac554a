// Package httpheader writes and reads the headers that sources over HTTP have in common:
// ranges, validators and waits. It reads what servers send, which may be anything.
package httpheader

import (
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"mimicsync/downloader/source"
)

// Range returns the Range header for length bytes from offset on; a length of 0 means up to
// the end.
func Range(offset, length int64) string {
	s := "bytes=" + strconv.FormatInt(offset, 10) + "-"
	if length > 0 {
		s += strconv.FormatInt(offset+length-1, 10)
	}
	return s
}

// ParseContentRange reads "bytes 500-999/1000" as 500, 1000, 1000: end is the first byte
// after the range, and total is -1 for "*".
func ParseContentRange(s string) (start, end, total int64, ok bool) {
	var last int64
	var size string
	if n, err := fmt.Sscanf(s, "bytes %d-%d/%s", &start, &last, &size); n != 3 || err != nil || start < 0 || last < start || last == math.MaxInt64 {
		return 0, 0, 0, false
	}
	if size == "*" {
		return start, last + 1, -1, true
	}
	total, err := strconv.ParseInt(size, 10, 64)
	return start, last + 1, total, err == nil && last < total
}

// EndsAsAsked reports whether an answer's range ends where the request's does, or earlier
// if that has a length. Where it starts is for the transfer to judge.
func EndsAsAsked(r source.Request, end, total int64) bool {
	if r.Length > 0 {
		return end <= r.Offset+r.Length
	}
	return total < 0 || end == total
}

// StrongETag returns an ETag that proves bytes to be the same, see RFC 9110 section 8.8.1,
// or an empty string.
func StrongETag(tag string) string {
	if strings.HasPrefix(tag, "W/") {
		return ""
	}
	return tag
}

// maxRetryAfter limits the wait that a server may ask for: beyond it, a pass should end and
// be started again.
const maxRetryAfter = time.Hour

// RetryAfter reads seconds or a date, see RFC 9110 section 10.2.3; 0 if it is neither.
func RetryAfter(s string) time.Duration {
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return time.Duration(min(n, int(maxRetryAfter/time.Second))) * time.Second
	}
	if t, err := http.ParseTime(s); err == nil {
		return min(max(time.Until(t), 0), maxRetryAfter)
	}
	return 0
}
