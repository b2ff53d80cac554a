package lookalike_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"mimicsync/downloader/lookalike"
)

// s3Site is a store with an open bucket, a closed one and an access point to that.
func s3Site() *lookalike.S3 {
	s := lookalike.NewS3()
	objects := lookalike.Generated([]lookalike.GeneratedFile{
		{Path: "mimiciv/3.1/a b+c.csv", Data: []byte("0123456789")}, {Path: "mimiciv/3.1/empty", Data: []byte{}}, {Path: "mimiciv/3.10/x", Size: 5},
	})
	s.AddBucket(lookalike.S3Bucket{Name: "open", Public: true, Objects: objects})
	s.AddBucket(lookalike.S3Bucket{Name: "closed", Readers: []string{"AKIDA"}, Objects: objects})
	s.AddBucket(lookalike.S3Bucket{Name: "payers", Public: true, RequesterPays: true, Objects: objects})
	s.AddAccessPoint(lookalike.S3AccessPoint{Name: "ap", Account: "1", Bucket: "closed", Prefix: "mimiciv/3.1/", Readers: []string{"AKIDB"}})
	for _, id := range []string{"AKIDA", "AKIDB"} {
		s.AddKey(lookalike.S3Key{ID: id})
	}
	return s
}

// s3Ask asks as a key, if it is not empty, and returns the status and the body.
func s3Ask(t *testing.T, s *lookalike.S3, key, url string, header ...string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, url, http.NoBody)
	if key != "" {
		now := time.Now().UTC()
		r.Header.Set("X-Amz-Date", now.Format("20060102T150405Z"))
		r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential="+key+"/"+now.Format("20060102")+"/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=00")
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	b, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(b)
}

func TestS3Policies(t *testing.T) {
	const point = "http://ap-1.s3-accesspoint.us-east-1.amazonaws.com/"
	for _, tt := range []struct {
		key, url string
		status   int
		says     string
	}{
		{"", "http://h/open/mimiciv/3.1/a%20b+c.csv", 200, "0123456789"},
		{"", "http://open.s3.us-east-1.amazonaws.com/mimiciv/3.1/a%20b+c.csv", 200, "0123456789"},
		{"", "http://h/open/mimiciv/3.1/none", 404, "<Code>NoSuchKey</Code>"},
		{"", "http://h/none/x", 404, "<Code>NoSuchBucket</Code>"},
		{"", "http://h/closed/mimiciv/3.1/empty", 403, "<Code>AccessDenied</Code>"},
		{"AKIDA", "http://h/closed/mimiciv/3.1/empty", 200, ""},
		{"AKIDB", "http://h/closed/mimiciv/3.1/empty", 403, "<Code>AccessDenied</Code>"},
		{"AKIDC", "http://h/closed/mimiciv/3.1/empty", 403, "<Code>InvalidAccessKeyId</Code>"},
		{"AKIDB", point + "mimiciv/3.1/empty", 200, ""},
		{"AKIDB", point + "mimiciv/3.10/x", 403, "<Code>AccessDenied</Code>"},
		{"AKIDA", point + "mimiciv/3.1/empty", 403, "<Code>AccessDenied</Code>"},
		{"AKIDB", point + "?list-type=2&prefix=mimiciv/3.1/", 200, "<KeyCount>2</KeyCount>"},
		{"AKIDB", point + "?list-type=2&prefix=mimiciv/", 403, "<Code>AccessDenied</Code>"},
		{"AKIDB", "http://no-1.s3-accesspoint.us-east-1.amazonaws.com/x", 404, "<Code>NoSuchAccessPoint</Code>"},
		{"AKIDA", "http://h/payers/mimiciv/3.1/empty", 403, "<Code>AccessDenied</Code>"},
	} {
		if status, body := s3Ask(t, s3Site(), tt.key, tt.url); status != tt.status || !strings.Contains(body, tt.says) {
			t.Errorf("%s as %q = %d %s, want %d %s", tt.url, tt.key, status, body, tt.status, tt.says)
		}
	}
	if status, body := s3Ask(t, s3Site(), "AKIDA", "http://h/payers/mimiciv/3.1/empty", "X-Amz-Request-Payer", "requester"); status != 200 {
		t.Errorf("asking as who pays = %d %s, want 200", status, body)
	}
}

func TestS3Conditions(t *testing.T) {
	s := s3Site()
	const object = "http://h/open/mimiciv/3.1/a%20b+c.csv"
	r := httptest.NewRequest(http.MethodHead, object, http.NoBody)
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	etag := w.Header().Get("ETag")
	for _, tt := range []struct {
		url, name, value string
		status           int
		says             string
	}{
		{object, "Range", "bytes=2-4", 206, "234"},
		{object, "Range", "bytes=10-", 416, "<Code>InvalidRange</Code>"},
		{"http://h/open/mimiciv/3.1/empty", "Range", "bytes=0-9", 416, "<Code>InvalidRange</Code>"},
		{object, "If-Match", etag, 200, "0123456789"},
		{object, "If-Match", `"other"`, 412, "<Code>PreconditionFailed</Code>"},
		{object, "If-None-Match", etag, 304, ""},
		{object, "If-None-Match", `"other"`, 200, "0123456789"},
	} {
		if status, body := s3Ask(t, s, "", tt.url, tt.name, tt.value); status != tt.status || !strings.Contains(body, tt.says) {
			t.Errorf("%s with %s: %s = %d %s, want %d %s", tt.url, tt.name, tt.value, status, body, tt.status, tt.says)
		}
	}
}

// TestS3Sessions: keys that expire in the middle of a pass.
func TestS3Sessions(t *testing.T) {
	s := s3Site()
	s.Inject(lookalike.Fault{Kind: lookalike.DropSession, Skip: 1, Times: 1})
	for _, want := range []int{200, 400, 400} {
		if status, body := s3Ask(t, s, "AKIDA", "http://h/closed/mimiciv/3.1/empty"); status != want {
			t.Errorf("the answer is %d %s, want %d", status, body, want)
		}
	}
	if status, _ := s3Ask(t, s, "", "http://h/open/mimiciv/3.1/empty"); status != 200 {
		t.Errorf("the open bucket answers %d, want 200", status)
	}
}

func TestS3Limits(t *testing.T) {
	s := s3Site()
	now := time.Now()
	s.Now, s.RequestsPerSecond = func() time.Time { return now }, 1
	for _, want := range []int{200, 429} {
		if status, body := s3Ask(t, s, "", "http://h/open/mimiciv/3.1/empty"); status != want || want == 429 && !strings.Contains(body, "<Code>TooManyRequests</Code>") {
			t.Errorf("the answer is %d %s, want %d", status, body, want)
		}
	}
}
