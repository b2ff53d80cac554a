package lookalike

import (
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
	"time"
)

// contentPolicy is what PhysioNet sends with files, so that HTML among the data can do nothing.
const contentPolicy = "sandbox allow-downloads; default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:"

// place is where in the site a file is served from, which decides on some of its headers.
type place struct {
	internal string // nginx's own path of the version, as its redirects and listings reveal it
	django   bool   // whether Django had a say, and added a Content-Disposition
}

// content is a file about to be served.
type content struct {
	name  string // its path within the version
	size  int64
	mtime time.Time
	body  io.ReadSeeker
}

func (c *content) etag() string {
	b := make([]byte, 0, 32)
	b = append(b, '"')
	b = strconv.AppendInt(b, c.mtime.Unix(), 16)
	b = append(b, '-')
	b = strconv.AppendInt(b, c.size, 16)
	return string(append(b, '"'))
}

// serveFiles answers /files/<slug>/<version>/<path>.
func (s *Server) serveFiles(w *response, r *http.Request, rest string) {
	slug, rest, _ := strings.Cut(rest, "/")
	version, name, slash := strings.Cut(rest, "/")
	if !slash {
		if version == "" {
			notFound(w)
			return
		}
		redirect(w, http.StatusMovedPermanently, r.URL.EscapedPath()+"/")
		return
	}
	user := s.authenticate(w, r) // before the lookup: that is the order which decides on cookies and password checks
	p := s.project(slug)
	v, _ := p.version(version)
	switch {
	case v == nil:
		notFound(w)
	case !s.mayRead(p, v, user):
		s.deny(w, r, user)
	default:
		root := "/protected/published-projects/"
		if p.Policy == Open {
			root = "/static/published-projects/"
		}
		s.servePath(w, r, v, name, place{internal: root + slug + "/" + version + "/", django: true})
	}
}

// serveStatic answers /static/published-projects/<slug>/<version>/<path>, where nginx serves open projects and asks nobody.
func (s *Server) serveStatic(w *response, r *http.Request, rest string) {
	folder, rest, _ := strings.Cut(rest, "/")
	slug, rest, _ := strings.Cut(rest, "/")
	version, name, slash := strings.Cut(rest, "/")
	p := s.project(slug)
	v, _ := p.version(version)
	if folder != "published-projects" || v == nil || p.Policy != Open || !slash {
		nginxPage(w, http.StatusNotFound)
		return
	}
	s.servePath(w, r, v, name, place{internal: "/static/published-projects/" + slug + "/" + version + "/"})
}

// servePath serves a file or a directory of a version to somebody who may have it.
func (s *Server) servePath(w *response, r *http.Request, v *Version, name string, at place) {
	if strings.Contains(name, "//") { // nginx merges them
		name = strings.TrimPrefix(path.Clean("/"+name)+trailingSlash(name), "/")
	}
	if name == "" || strings.HasSuffix(name, "/") {
		s.serveDirectory(w, r, v, strings.TrimSuffix(name, "/"), at)
		return
	}
	if at.django {
		w.Header()["Content-Disposition"] = []string{disposition(r) + path.Base(name)}
	}
	c, dir := openContent(v, name)
	switch {
	case dir:
		// nginx redirects to its own name of the directory. That of a controlled project is an address nobody can open.
		scheme := "http://"
		if r.TLS != nil {
			scheme = "https://"
		}
		w.Header().Set("Location", scheme+r.Host+at.internal+escapePath(name)+"/")
		nginxPage(w, http.StatusMovedPermanently)
	case c == nil:
		nginxPage(w, http.StatusNotFound)
	default:
		s.serveContent(w, r, c)
	}
}

func trailingSlash(name string) string {
	if strings.HasSuffix(name, "/") {
		return "/"
	}
	return ""
}

// disposition is followed by the bare file name: PhysioNet does not quote it.
func disposition(r *http.Request) string {
	if r.URL.RawQuery != "" && r.URL.Query().Has("download") {
		return "attachment; filename="
	}
	return "inline; filename="
}

// openContent returns the file of this name, or nil if there is none or it is a directory. The caller closes it.
func openContent(v *Version, name string) (c *content, dir bool) {
	if name == manifestName && v.Manifest != nil {
		return &content{name, int64(len(v.Manifest)), v.ModTime, bytes.NewReader(v.Manifest)}, false
	}
	if v.Files == nil || !fs.ValidPath(name) {
		return nil, false
	}
	f, err := v.Files.Open(name)
	if err != nil {
		return nil, false
	}
	info, err := f.Stat()
	body, ok := f.(io.ReadSeeker)
	if err != nil || info.IsDir() || !ok {
		_ = f.Close() // opened for reading
		return nil, err == nil && info.IsDir()
	}
	mtime := info.ModTime()
	if mtime.IsZero() {
		mtime = v.ModTime
	}
	return &content{name, info.Size(), mtime, body}, false
}

func (c *content) close() {
	if f, ok := c.body.(io.Closer); ok {
		_ = f.Close() // opened for reading
	}
}

// serveContent serves c as nginx does, and closes it.
func (s *Server) serveContent(w *response, r *http.Request, c *content) {
	defer c.close()
	s.counters.file(r, c.name)
	if r.Method == http.MethodGet && s.faults.claim(onPage, r, span{}) != nil {
		page(w, http.StatusOK, htmlType, pageLogin)
		return
	}
	c.mtime = s.faults.age(r, c.mtime)
	etag := c.etag()
	modified := c.mtime.UTC().Format(http.TimeFormat)
	contentType := typeOf(c.name)
	h := w.Header()
	h["Content-Type"] = []string{contentType}
	h["Last-Modified"] = []string{modified}
	h["Etag"] = []string{etag}
	h["Content-Security-Policy"] = contentPolicyHeader
	switch checkConditions(r, etag, modified) {
	case http.StatusNotModified:
		delete(h, "Content-Type")
		w.WriteHeader(http.StatusNotModified)
		return
	case http.StatusPreconditionFailed:
		nginxPage(w, http.StatusPreconditionFailed)
		return
	}
	if contentType == htmlType && acceptsGzip(r) {
		s.serveCompressed(w, r, c, etag)
		return
	}
	h["Accept-Ranges"] = acceptRangesHeader
	s.serveRange(w, r, c, etag, modified)
}

// Values of headers that are the same in all responses; never changed.
var (
	contentPolicyHeader = []string{contentPolicy}
	acceptRangesHeader  = []string{"bytes"}
)

// serveRange sends the part of c that the request asks for.
func (s *Server) serveRange(w *response, r *http.Request, c *content, etag, modified string) {
	part := span{end: c.size, size: c.size}
	if asked := r.Header.Get("Range"); asked != "" && rangeApplies(r, etag, modified) && s.faults.claim(onRange, r, span{}) == nil {
		if strings.Contains(asked, ",") {
			serveMultipart(w, r, c)
			return
		}
		var ok bool
		if part, ok = parseRange(asked, c.size); !ok {
			nginxRangeError(w, c.size)
			return
		}
	}
	s.sendSpan(w, r, c, part)
}

// nginxRangeError is a 416.
func nginxRangeError(w *response, size int64) {
	w.Header().Set("Content-Range", "bytes */"+strconv.FormatInt(size, 10))
	nginxPage(w, http.StatusRequestedRangeNotSatisfiable)
}

// serveMultipart leaves several ranges to net/http, which answers them as nginx does. No fault strikes there.
func serveMultipart(w *response, r *http.Request, c *content) {
	r = r.Clone(r.Context())
	for _, k := range []string{"If-Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
		r.Header.Del(k) // they have been looked at
	}
	http.ServeContent(w, r, c.name, c.mtime, c.body)
}

// serveCompressed sends what nginx compresses on the fly: its length is unknown, and its ETag says no more than its meaning.
func (s *Server) serveCompressed(w *response, r *http.Request, c *content, etag string) {
	h := w.Header()
	h.Set("Etag", "W/"+etag)
	h.Set("Content-Encoding", "gzip")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	w.flush() // or net/http adds a Content-Length to what is small
	z := gzip.NewWriter(w)
	_, _ = io.Copy(z, c.body) // the client may be gone
	_ = z.Close()
}

// acceptsGzip takes the header as nginx does in all cases but quality values.
func acceptsGzip(r *http.Request) bool {
	return strings.Contains(r.Header.Get("Accept-Encoding"), "gzip")
}

// typeOf is the content type that nginx derives from a name. What it does not know is text.
func typeOf(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".html", ".htm", ".shtml":
		return htmlType
	case ".xhtml":
		return "application/xhtml+xml"
	case ".gz":
		return "application/gzip"
	case ".zip":
		return "application/zip"
	case ".pdf":
		return "application/pdf"
	case ".json":
		return "application/json"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".png":
		return "image/png"
	case ".gif":
		return "image/gif"
	case ".dat", ".edf", ".bin", ".mat", ".qrs", ".atr":
		return "application/octet-stream"
	default:
		return "text/plain; charset=utf-8"
	}
}
