package lookalike

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The most objects on a page of a listing, and how many there are if the client does not say.
const (
	maxPage     = 5000
	defaultPage = 1000
)

// serveListing answers /storage/v1/b/<bucket>/o.
func (g *GCS) serveListing(w *response, r *http.Request, b *Bucket) {
	if e := g.refusal(r, b, "list", ""); e != nil {
		e.send(w)
		return
	}
	g.counters.listings.Add(1)
	q := r.URL.Query()
	prefix, end := q.Get("prefix"), q.Get("endOffset")
	from := max(prefix, q.Get("startOffset"))
	if token := q.Get("pageToken"); token != "" {
		name, err := base64.RawURLEncoding.DecodeString(token)
		if err != nil {
			badToken.send(w)
			return
		}
		from = string(name)
	}
	left := defaultPage
	if n, err := strconv.Atoi(q.Get("maxResults")); err == nil && n > 0 {
		left = min(n, maxPage)
	}
	w.Header().Set("Content-Type", "application/json; charset=UTF-8")
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return
	}
	out := bufio.NewWriter(w) // its errors mean that the client has gone
	defer func() { _ = out.Flush() }()
	_, _ = out.WriteString(`{"kind":"storage#objects","items":[`)
	next, origin := "", "http://"+r.Host
	if r.TLS != nil {
		origin = "https://" + r.Host
	}
	for i, first := b.search(from), true; i < b.Objects.Len(); i, first = i+1, false {
		f := b.Objects.At(i)
		if !strings.HasPrefix(f.Path, prefix) || end != "" && f.Path >= end {
			break
		}
		if left == 0 {
			next = f.Path
			break
		}
		left--
		if !first {
			_ = out.WriteByte(',')
		}
		_, _ = out.Write(item(b, &f, origin))
	}
	_ = out.WriteByte(']')
	if next != "" {
		_, _ = out.WriteString(`,"nextPageToken":"` + base64.RawURLEncoding.EncodeToString([]byte(next)) + `"`)
	}
	_ = out.WriteByte('}')
}

// item describes an object. There is no checksum: it would have to be computed for all.
func item(b *Bucket, f *GeneratedFile, origin string) []byte {
	type object struct {
		Kind       string `json:"kind"`
		Name       string `json:"name"`
		Bucket     string `json:"bucket"`
		Size       string `json:"size"`
		Generation string `json:"generation"`
		Updated    string `json:"updated"`
		MediaLink  string `json:"mediaLink"`
	}
	generation := generation(f.Path, b.ModTime)
	text, err := json.Marshal(object{
		Kind: "storage#object", Name: f.Path, Bucket: b.Name, Size: strconv.FormatInt(f.size(), 10),
		Generation: generation, Updated: b.ModTime.UTC().Format(time.RFC3339),
		MediaLink: origin + mediaRoot + b.Name + "/o/" + url.PathEscape(f.Path) + "?generation=" + generation + "&alt=media",
	})
	if err != nil {
		panic("lookalike: " + err.Error()) // strings cannot fail
	}
	return text
}
