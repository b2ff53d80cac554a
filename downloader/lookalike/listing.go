package lookalike

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"html"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// listed is a line of a listing.
type listed struct {
	name  string
	dir   bool
	size  int64
	mtime time.Time
}

// serveDirectory serves what nginx makes of a directory: its index.html if there is one, or else a listing. dir has no slash at
// its end, and is empty for the root.
func (s *Server) serveDirectory(w *response, r *http.Request, v *Version, dir string, at place) {
	prefix := ""
	if dir != "" {
		prefix = dir + "/"
	}
	if c, _ := openContent(v, prefix+"index.html"); c != nil {
		s.serveContent(w, r, c)
		return
	}
	lines, ok := listDirectory(v, dir)
	if !ok {
		nginxPage(w, http.StatusNotFound)
		return
	}
	if r.Method == http.MethodGet {
		s.counters.listings.Add(1)
	}
	h := w.Header()
	h.Set("Content-Type", htmlType)
	h["Content-Security-Policy"] = contentPolicyHeader
	var out io.Writer = w
	if acceptsGzip(r) {
		h.Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		defer func() { _ = z.Close() }()
		out = z
	}
	w.WriteHeader(http.StatusOK)
	w.flush() // a listing has no Content-Length
	_, _ = out.Write(renderListing(at.internal+prefix, lines))
}

// listDirectory returns what nginx lists: directories first, each kind by name, without dot-files.
func listDirectory(v *Version, dir string) ([]listed, bool) {
	if dir == "" {
		dir = "."
	}
	if v.Files == nil || !fs.ValidPath(dir) {
		return nil, false
	}
	entries, err := fs.ReadDir(v.Files, dir)
	if err != nil {
		return nil, false
	}
	var lines []listed
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") || (dir == "." && e.Name() == manifestName && v.Manifest != nil) {
			continue
		}
		if info, err := e.Info(); err == nil { // or it has gone since
			lines = append(lines, listed{e.Name(), e.IsDir(), info.Size(), info.ModTime()})
		}
	}
	if dir == "." && v.Manifest != nil {
		lines = append(lines, listed{name: manifestName, size: int64(len(v.Manifest)), mtime: v.ModTime})
	}
	slices.SortFunc(lines, func(a, b listed) int {
		if a.dir != b.dir {
			if a.dir {
				return -1
			}
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	for i := range lines {
		if lines[i].mtime.IsZero() {
			lines[i].mtime = v.ModTime
		}
	}
	return lines, true
}

// renderListing writes the page of nginx's autoindex module.
func renderListing(title string, lines []listed) []byte {
	var b bytes.Buffer
	title = html.EscapeString(title)
	fmt.Fprintf(&b, "<html>\r\n<head><title>Index of %s</title></head>\r\n<body>\r\n<h1>Index of %s</h1><hr><pre><a href=\"../\">../</a>\r\n", title, title)
	for _, l := range lines {
		slash := ""
		size := "-"
		if l.dir {
			slash = "/"
		} else {
			size = fmt.Sprint(l.size)
		}
		text, pad := listedName(l.name, slash)
		fmt.Fprintf(&b, "<a href=\"%s%s\">%s</a>%*s %s %19s\r\n",
			escapeSegment(l.name), slash, text, pad, "", l.mtime.UTC().Format("02-Jan-2006 15:04"), size)
	}
	b.WriteString("</pre><hr></body>\r\n</html>\r\n")
	return b.Bytes()
}

// listedName is the text of a link, cut to 50 characters, and how much is missing to 50.
func listedName(name, slash string) (text string, pad int) {
	const width = 50
	n := utf8.RuneCountInString(name)
	if n > width {
		return html.EscapeString(string([]rune(name)[:width-3])) + "..&gt;", 0
	}
	if n == width {
		slash = ""
	}
	return html.EscapeString(name + slash), width - n - len(slash)
}

// escapeSegment encodes a name for an address as nginx does: all but letters, digits and "-._~".
func escapeSegment(name string) string {
	return strings.ReplaceAll(url.QueryEscape(name), "+", "%20")
}

func escapePath(p string) string {
	parts := strings.Split(p, "/")
	for i := range parts {
		parts[i] = escapeSegment(parts[i])
	}
	return strings.Join(parts, "/")
}
