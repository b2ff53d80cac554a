package lookalike

import (
	"encoding/xml"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// s3PageSize is how many keys a page of a listing has at most.
const s3PageSize = 1000

// s3Listing is the answer to ListObjectsV2.
type s3Listing struct {
	XMLName     xml.Name `xml:"http://s3.amazonaws.com/doc/2006-03-01/ ListBucketResult"`
	Name        string
	Prefix      string
	KeyCount    int
	MaxKeys     int
	IsTruncated bool
	Encoding    string      `xml:"EncodingType,omitempty"`
	Token       string      `xml:"ContinuationToken,omitempty"`
	Next        string      `xml:"NextContinuationToken,omitempty"`
	Contents    []s3Content `xml:"Contents"`
}

type s3Content struct {
	Key          string
	LastModified string
	ETag         string
	Size         int64
	StorageClass string
}

// list answers ListObjectsV2. Delimiters are not supported.
func (s *S3) list(w *response, r *http.Request, a s3Asked) {
	query := r.URL.Query()
	prefix := query.Get("prefix")
	if query.Get("list-type") != "2" {
		s3Fail(w, s3Error{http.StatusNotImplemented, "NotImplemented", "A header or query you provided implies functionality that is not implemented."})
		return
	}
	if !a.mayList(prefix) || !a.pays(r) {
		s3Fail(w, a.denied("s3:ListBucket"))
		return
	}
	s.counters.listings.Add(1)
	page := s3Listing{
		Name: a.bucket.Name, Prefix: prefix, MaxKeys: s3PageSize,
		Encoding: query.Get("encoding-type"), Token: query.Get("continuation-token"),
	}
	if n, err := strconv.Atoi(query.Get("max-keys")); err == nil && n >= 0 {
		page.MaxKeys = min(n, s3PageSize)
	}
	s.fill(&page, a.bucket)
	w.Header()["Content-Type"] = []string{"application/xml"}
	s3Write(w, http.StatusOK, page)
}

// fill adds the page's keys. The token is the number of the object that it begins with.
func (s *S3) fill(page *s3Listing, b *S3Bucket) {
	encode := func(name string) string { return name }
	if page.Encoding == "url" {
		encode = url.QueryEscape // S3, too, makes a space a plus
	}
	i := s3Search(b.Objects, page.Prefix)
	if n, err := strconv.Atoi(page.Token); err == nil {
		i = max(i, n)
	}
	for ; i < b.Objects.Len() && page.KeyCount < page.MaxKeys; i++ {
		file := b.Objects.At(i)
		if !strings.HasPrefix(file.Path, page.Prefix) {
			break
		}
		page.Contents = append(page.Contents, s3Content{
			Key: encode(file.Path), LastModified: b.ModTime.UTC().Format(time.RFC3339), ETag: s3ETag(&file, b.ModTime),
			Size: file.size(), StorageClass: "STANDARD",
		})
		page.KeyCount++
	}
	if i < b.Objects.Len() && page.KeyCount > 0 && strings.HasPrefix(b.Objects.At(i).Path, page.Prefix) {
		page.IsTruncated, page.Next = true, strconv.Itoa(i)
	}
	page.Prefix = encode(page.Prefix)
}

// s3Error is an error as S3 words it.
type s3Error struct {
	status  int
	code    string
	message string
}

// s3Status are the errors that S3 gives with a status, where a fault names no code.
var s3Status = map[int]s3Error{
	http.StatusForbidden:                    {http.StatusForbidden, "AccessDenied", "Access Denied"},
	http.StatusNotFound:                     {http.StatusNotFound, "NoSuchKey", "The specified key does not exist."},
	http.StatusPreconditionFailed:           {http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold"},
	http.StatusRequestedRangeNotSatisfiable: {http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range is not satisfiable"},
	http.StatusTooManyRequests:              {http.StatusTooManyRequests, "TooManyRequests", "Please reduce your request rate."},
	http.StatusInternalServerError:          {http.StatusInternalServerError, "InternalError", "We encountered an internal error. Please try again."},
	http.StatusServiceUnavailable:           {http.StatusServiceUnavailable, "SlowDown", "Please reduce your request rate."},
}

// refuse answers with the error of a status, or with the one that a fault names.
func (s *S3) refuse(w *response, code int) {
	e := s3Status[code]
	e.status = code
	if w.reason != "" {
		e.code = w.reason
	}
	s3Fail(w, e)
}

// s3Fail answers with an error.
func s3Fail(w *response, e s3Error) {
	w.Header()["Content-Type"] = []string{"application/xml"}
	s3Write(w, e.status, struct {
		XMLName   xml.Name `xml:"Error"`
		Code      string
		Message   string
		RequestID string `xml:"RequestId"`
	}{Code: e.code, Message: e.message, RequestID: "TX0000000000000001"})
}

func s3Write(w *response, status int, v any) {
	text, err := xml.Marshal(v)
	if err != nil {
		panic("lookalike: " + err.Error()) // these types can be marshalled
	}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(xml.Header) + len(text))}
	w.WriteHeader(status)
	if w.request.Method == http.MethodHead {
		return
	}
	_, _ = w.Write(append([]byte(xml.Header), text...)) // the client may be gone
}
