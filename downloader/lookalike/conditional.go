package lookalike

import (
	"net/http"
	"strconv"
	"strings"
)

// span is a part of a file: the bytes from start up to, not including, end. It is the whole
// file unless partial is true.
type span struct {
	start, end, size int64
	partial          bool
}

func (p span) length() int64 { return p.end - p.start }

// contentRange is the header's value.
func (p span) contentRange() string {
	b := make([]byte, 0, 64)
	b = append(b, "bytes "...)
	b = strconv.AppendInt(b, p.start, 10)
	b = append(b, '-')
	b = strconv.AppendInt(b, p.end-1, 10)
	b = append(b, '/')
	return string(strconv.AppendInt(b, p.size, 10))
}

// checkConditions returns 412 or 304, or 0 if the request should be served. Like nginx, it
// compares dates as text, so that a date later than the file's counts as modified, too.
func checkConditions(r *http.Request, etag, modified string) int {
	h := r.Header
	if since := h.Get("If-Unmodified-Since"); since != "" && since != modified {
		return http.StatusPreconditionFailed
	}
	if match := h.Get("If-Match"); match != "" && !etagMatches(match, etag, false) {
		return http.StatusPreconditionFailed
	}
	since, none := h.Get("If-Modified-Since"), h.Get("If-None-Match")
	if since == "" && none == "" {
		return 0
	}
	if (since != "" && since != modified) || (none != "" && !etagMatches(none, etag, true)) {
		return 0
	}
	return http.StatusNotModified
}

// etagMatches reports whether a list of ETags contains this one; weak accepts weak ETags,
// too.
func etagMatches(list, etag string, weak bool) bool {
	if list == "*" {
		return true
	}
	for one := range strings.SplitSeq(list, ",") {
		one = strings.TrimSpace(one)
		if weak {
			one = strings.TrimPrefix(one, "W/")
		}
		if one == etag {
			return true
		}
	}
	return false
}

// rangeApplies reports whether the If-Range header, if any, matches the file.
func rangeApplies(r *http.Request, etag, modified string) bool {
	v := r.Header.Get("If-Range")
	return v == "" || v == etag || v == modified
}

// parseRange reads a Range header of one range like nginx. It returns the whole file if
// nginx ignores the header, and false if nginx answers 416.
func parseRange(header string, size int64) (span, bool) {
	whole := span{end: size, size: size}
	if len(header) < 6 || !strings.EqualFold(header[:6], "bytes=") {
		return whole, true
	}
	first, last, ok := strings.Cut(strings.TrimSpace(header[6:]), "-")
	if !ok {
		return whole, false
	}
	start, end := int64(0), size
	if first == "" { // the last n bytes
		n, err := strconv.ParseInt(last, 10, 64)
		if err != nil || n < 0 {
			return whole, false
		}
		start = max(0, size-n)
	} else {
		var err error
		if start, err = strconv.ParseInt(first, 10, 64); err != nil || start < 0 {
			return whole, false
		}
		if last != "" {
			n, err := strconv.ParseInt(last, 10, 64)
			if err != nil || n < 0 {
				return whole, false
			}
			end = min(size, n+1)
		}
	}
	switch {
	case start < end:
		return span{start, end, size, true}, true
	case start == 0: // an empty file: nginx ignores the header
		return whole, true
	default:
		return whole, false
	}
}
