//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
)

// row stands for a row of patients. Neither it nor the account may be told.
const row = "10000032,HIV positive"

// flood is an answer without end or sense, to the requests that it is for.
type flood struct {
	to     func(path string) bool
	answer func(w http.ResponseWriter, r *http.Request)
}

func toManifest(path string) bool { return strings.HasSuffix(path, "/SHA256SUMS.txt") }
func toFiles(path string) bool    { return strings.HasPrefix(path, "/files/") && !toManifest(path) }
func toAPI(path string) bool      { return strings.HasPrefix(path, "/api/") }
func toPages(path string) bool    { return strings.HasPrefix(path, "/content/") || toFiles(path) }
func toAll(string) bool           { return true }

// floods are what a server can send to fill a memory, a log or a disk.
var floods = map[string]flood{
	"manifest of zeros":       {toManifest, pours(http.StatusOK, "text/plain", "\x00")},
	"manifest of one line":    {toManifest, pours(http.StatusOK, "text/plain", "a")},
	"manifest of blanks":      {toManifest, pours(http.StatusOK, "text/plain", "\n")},
	"manifest of entries":     {toManifest, pours(http.StatusOK, "text/plain", strings.Repeat("0123456789abcdef", 4)+" files/p10/a.dcm\n")},
	"manifest of long names":  {toManifest, longNames},
	"bodies":                  {toFiles, pours(http.StatusOK, "text/csv", row+"\n")},
	"packed bodies":           {toFiles, packed},
	"pages":                   {toFiles, pours(http.StatusOK, "text/html", "<p>"+row+"</p>\n")},
	"refusals":                {toFiles, pours(http.StatusForbidden, "text/html", "<p>"+row+"</p>\n")},
	"asking who it is":        {toFiles, pours(http.StatusUnauthorized, "text/html", row)},
	"errors":                  {toFiles, pours(http.StatusInternalServerError, "text/plain", row)},
	"a long header":           {toFiles, raw(func(echo string) string { return "X-Row: " + echo + strings.Repeat(row, 100_000) + "\r\n" })},
	"a header that is none":   {toFiles, raw(func(echo string) string { return echo + row + strings.Repeat("x", 30_000) + "\r\n" })},
	"a long one that is none": {toFiles, raw(func(echo string) string { return strings.Repeat(echo+row, 40_000) + "\r\n" })},
	"many headers":            {toFiles, raw(func(string) string { return strings.Repeat("X-Row: "+row+"\r\n", 100_000) })},
	"a long range":            {toFiles, raw(func(echo string) string { return "Content-Range: bytes " + echo + strings.Repeat(row, 2000) + "\r\n" })},
	"a long length":           {toFiles, raw(func(echo string) string { return "Content-Length: " + echo + strings.Repeat("9", 40_000) + "\r\n" })},
	"trailers":                {toFiles, trailers},
	"cookies":                 {toAll, nil},
	"far redirects":           {toFiles, away},
	"what the API says":       {toAPI, pours(http.StatusOK, "application/json", "[")},
	"a page of the version":   {toPages, reasons},
}

// pours sends a text again and again until nobody wants more.
func pours(status int, kind, text string) func(http.ResponseWriter, *http.Request) {
	much := []byte(strings.Repeat(text, 1+(64<<10)/len(text)))
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(status)
		for r.Context().Err() == nil {
			if _, err := w.Write(much); err != nil {
				return
			}
		}
	}
}

// reasons refuses files, and has a page without end that would say why.
func reasons(w http.ResponseWriter, r *http.Request) {
	if toFiles(r.URL.Path) {
		http.Error(w, row, http.StatusForbidden)
		return
	}
	pours(http.StatusOK, "text/html", "<p>"+row)(w, r)
}

// packed sends zeros without end, packed a thousand times.
func packed(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Encoding", "gzip")
	pours(http.StatusOK, "text/csv", packedZeros())(w, r)
}

// longNames sends entries without end, each with another name of 8,000 bytes.
func longNames(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	digest, name := strings.Repeat("0123456789abcdef", 4), strings.Repeat("long/", 1590)
	for i := 0; r.Context().Err() == nil; i++ {
		if _, err := fmt.Fprintf(w, "%s  %s%d\n", digest, name, i); err != nil {
			return
		}
	}
}

// raw answers with status 200 and the header lines that a function makes, of which a
// part may be what the request said of the account.
func raw(lines func(echo string) string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n"+lines(r.Header.Get("Authorization"))+"\r\n"+row)
	}
}

// trailers end a body with lines that are none, and say who asked.
func trailers(w http.ResponseWriter, r *http.Request) {
	raw(func(echo string) string {
		return "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n" + echo + strings.Repeat(row, 1000) + "\r\n"
	})(w, r)
}

// away redirects to ever longer addresses.
func away(w http.ResponseWriter, r *http.Request) {
	http.Redirect(w, r, r.URL.Path+"?"+strings.Repeat("x", min(len(r.URL.RawQuery)+10_000, 60_000)), http.StatusFound) //nolint:gosec // to where no client should go
}

// floodSite is a server one kind of whose answers are a flood.
type floodSite struct {
	well    http.Handler
	flood   flood
	struck  atomic.Int64
	cookies atomic.Int64
}

// ServeHTTP implements [http.Handler]. A flood without an answer is of cookies, other
// ones with each answer.
func (s *floodSite) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.flood.to(r.URL.Path) {
		s.well.ServeHTTP(w, r)
		return
	}
	s.struck.Add(1)
	if s.flood.answer != nil {
		s.flood.answer(w, r)
		return
	}
	for range 100 {
		http.SetCookie(w, &http.Cookie{Name: fmt.Sprint("track", s.cookies.Add(1)), Value: strings.Repeat("x", 200), Path: "/"}) //nolint:gosec // a tracker's
	}
	s.well.ServeHTTP(w, r)
}

// told reports whether a text has what must not be told.
func told(text []byte, secret string) bool {
	return bytes.Contains(text, []byte(row)) || bytes.Contains(text, []byte(secret))
}
