package physionet

import (
	"fmt"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// strongETag returns an ETag that proves bytes to be the same, see RFC 9110
// section 8.8.1, or nothing.
func strongETag(tag string) string {
	if strings.HasPrefix(tag, "W/") {
		return ""
	}
	return tag
}

// parseContentRange reads "bytes 500-999/1000"; total is -1 for "*".
func parseContentRange(s string) (start, total int64, ok bool) {
	var end int64
	var size string
	if n, err := fmt.Sscanf(s, "bytes %d-%d/%s", &start, &end, &size); n != 3 || err != nil || start < 0 || end < start {
		return 0, 0, false
	}
	if size == "*" {
		return start, -1, true
	}
	total, err := strconv.ParseInt(size, 10, 64)
	return start, total, err == nil && total == end+1 // we ask up to the end
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
