package lookalike

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"io"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// S3 answers readers like Amazon S3: GetObject with ranges and conditions, ListObjectsV2,
// access points and their rules, requester pays, regions, and the error codes. Objects are
// described, not stored, so that a bucket of millions costs no memory.
//
// It has the faults, limits and counters of a [Host]. Buckets are addressed by path
// ("/bucket/key") or by host name ("bucket.s3.us-east-1.amazonaws.com"), access points only
// by host name, like "name-123456789012.s3-accesspoint.us-east-1.amazonaws.com". At
// "sts.us-east-1.amazonaws.com" it says whose credentials sign the request. It identifies
// clients by the access key's ID and checks the date and region of the signature, but not
// the signature itself. It doesn't write, and it doesn't know delimiters, versions or
// presigned requests.
//
// It is safe for concurrent use.
type S3 struct {
	Host

	// mu guards the rest. What the maps point to is never changed, only replaced.
	mu      sync.RWMutex
	buckets map[string]*S3Bucket
	points  map[string]*S3AccessPoint // by the first label of their host name
	keys    map[string]S3Key
}

// S3Bucket is a bucket and its readers.
type S3Bucket struct {
	Name    string
	Region  string // us-east-1 if empty
	Objects Objects
	// Public lets everybody read and list, even without credentials.
	Public bool
	// Readers are the IDs of the access keys that may read and list.
	Readers []string
	// NoList denies listings to everybody, so that missing objects look forbidden.
	NoList bool
	// RequesterPays refuses requests that don't agree to pay.
	RequesterPays bool
	// Checksums sends the CRC-32 of whole objects on request. Each costs a reading of the
	// object.
	Checksums bool
	// ModTime is the time of all objects; a fixed day if zero.
	ModTime time.Time
	// ContentEncoding is that of all objects, none if empty.
	ContentEncoding string
}

// S3AccessPoint is another way to a bucket. It gives access only to objects below Prefix,
// and lists only prefixes below it, like PhysioNet's.
type S3AccessPoint struct {
	Name, Account string
	Bucket        string
	Prefix        string   // "mimiciv/3.1/"
	Readers       []string // ids of access keys
}

// S3Key is an access key.
type S3Key struct {
	ID       string
	Identity string    // the ARN that refusals use for its owner
	Expires  time.Time // after which it is rejected as expired; never if zero
}

// NewS3 returns a server without buckets and keys.
func NewS3() *S3 {
	return &S3{
		Host: newHost(), buckets: make(map[string]*S3Bucket), points: make(map[string]*S3AccessPoint), keys: make(map[string]S3Key),
	}
}

// AddBucket adds a bucket, or replaces that of the same name.
func (s *S3) AddBucket(b S3Bucket) {
	if b.Region == "" {
		b.Region = "us-east-1"
	}
	if b.ModTime.IsZero() {
		b.ModTime = generatedTime
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.buckets[b.Name] = &b
}

// AddAccessPoint adds an access point.
func (s *S3) AddAccessPoint(p S3AccessPoint) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.points[p.Name+"-"+p.Account] = &p
}

// AddKey adds an access key, or replaces that of the same id.
func (s *S3) AddKey(k S3Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.keys[k.ID] = k
}

// RemoveKey makes an access key unknown.
func (s *S3) RemoveKey(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.keys, id)
}

// DropSessions makes all access keys expire.
func (s *S3) DropSessions() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, k := range s.keys {
		k.Expires = s.now().Add(-time.Second)
		s.keys[id] = k
	}
}

// ServeHTTP implements [http.Handler].
func (s *S3) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h["Server"] = []string{"AmazonS3"}
	h["Date"] = []string{s.now().UTC().Format(http.TimeFormat)}
	s.serve(w, r, s)
}

// s3Asked is a request to S3.
type s3Asked struct {
	bucket *S3Bucket
	point  *S3AccessPoint // nil if the bucket itself was addressed
	key    string
	by     S3Key // the zero key means nobody
}

func (s *S3) route(w *response, r *http.Request) {
	if strings.HasPrefix(r.Host, "sts.") {
		s.tellIdentity(w, r)
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		s3Fail(w, s3Error{http.StatusMethodNotAllowed, "MethodNotAllowed", "The specified method is not allowed against this resource."})
		return
	}
	asked, fail := s.find(r)
	if fail == nil {
		asked.by, fail = s.identify(r, asked.bucket)
	}
	if fail != nil {
		if asked.bucket != nil {
			w.Header().Set("X-Amz-Bucket-Region", asked.bucket.Region)
		}
		s3Fail(w, *fail)
		return
	}
	if asked.key == "" {
		s.list(w, r, asked)
		return
	}
	s.get(w, r, asked)
}

// find reads the address.
func (s *S3) find(r *http.Request) (a s3Asked, fail *s3Error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	label, rest, _ := strings.Cut(r.Host, ".")
	a.key = strings.TrimPrefix(r.URL.Path, "/")
	name, found := label, false
	switch {
	case strings.Contains(rest, "s3-accesspoint."):
		if a.point, found = s.points[label]; !found {
			return a, &s3Error{http.StatusNotFound, "NoSuchAccessPoint", "The specified accesspoint does not exist"}
		}
		name = a.point.Bucket
	case strings.HasPrefix(rest, "s3.") && strings.HasSuffix(rest, ".amazonaws.com"):
	default:
		name, a.key, _ = strings.Cut(a.key, "/")
	}
	if a.bucket, found = s.buckets[name]; !found {
		return a, &s3Error{http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist"}
	}
	return a, nil
}

// tellIdentity answers GetCallerIdentity of Amazon's STS, at "sts.us-east-1.amazonaws.com".
func (s *S3) tellIdentity(w *response, r *http.Request) {
	k, fail := s.identify(r, &S3Bucket{Region: "us-east-1"})
	if fail != nil {
		code := fail.code
		if code == "InvalidAccessKeyId" {
			code = "InvalidClientTokenId"
		}
		page(w, fail.status, "text/xml", []byte("<ErrorResponse><Error><Code>"+code+"</Code><Message>"+fail.message+"</Message></Error></ErrorResponse>"))
		return
	}
	page(w, http.StatusOK, "text/xml", []byte("<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>"+k.Identity+
		"</Arn></GetCallerIdentityResult></GetCallerIdentityResponse>"))
}

// identify finds out who sends the request.
func (s *S3) identify(r *http.Request, b *S3Bucket) (k S3Key, fail *s3Error) {
	authorization := r.Header.Get("Authorization")
	if authorization == "" {
		return k, nil
	}
	_, scope, _ := strings.Cut(authorization, "Credential=")
	scope, _, _ = strings.Cut(scope, ",")
	part := strings.Split(scope, "/") // key, day, region, service, aws4_request
	signed, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if len(part) != 5 || err != nil {
		return k, &s3Error{http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header is malformed."}
	}
	s.mu.RLock()
	k, known := s.keys[part[0]]
	s.mu.RUnlock()
	switch off := s.now().Sub(signed); {
	case !known:
		return k, &s3Error{http.StatusForbidden, "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."}
	case off > s3Tolerance || off < -s3Tolerance:
		return k, &s3Error{http.StatusForbidden, "RequestTimeTooSkewed", "The difference between the request time and the current time is too large."}
	case !k.Expires.IsZero() && s.now().After(k.Expires):
		return k, &s3Error{http.StatusBadRequest, "ExpiredToken", "The provided token has expired."}
	case part[2] != b.Region:
		return k, &s3Error{http.StatusBadRequest, "AuthorizationHeaderMalformed", "The authorization header is malformed; the region is wrong."}
	}
	return k, nil
}

// s3Tolerance is how far a client's clock may be from the server's.
const s3Tolerance = 15 * time.Minute

// mayRead and mayList apply the policies.
func (a *s3Asked) mayRead() bool {
	if a.point != nil {
		return strings.HasPrefix(a.key, a.point.Prefix) && slices.Contains(a.point.Readers, a.by.ID)
	}
	return a.bucket.Public || slices.Contains(a.bucket.Readers, a.by.ID)
}

func (a *s3Asked) mayList(prefix string) bool {
	if a.point != nil && !strings.HasPrefix(prefix, a.point.Prefix) {
		return false
	}
	whole := *a
	whole.key = prefix
	return !a.bucket.NoList && whole.mayRead()
}

// pays reports whether somebody pays.
func (a *s3Asked) pays(r *http.Request) bool {
	return !a.bucket.RequesterPays || a.by.ID != "" && r.Header.Get("X-Amz-Request-Payer") == "requester"
}

func (a *s3Asked) denied(action string) s3Error {
	e := s3Error{http.StatusForbidden, "AccessDenied", "Access Denied"}
	if a.by.Identity != "" {
		e.message = "User: " + a.by.Identity + " is not authorized to perform: " + action + " on resource: \"arn:aws:s3:::" + a.bucket.Name +
			"\" because no resource-based policy allows the " + action + " action"
	}
	return e
}

// get answers GetObject and HeadObject.
func (s *S3) get(w *response, r *http.Request, a s3Asked) {
	if !a.mayRead() || !a.pays(r) {
		s3Fail(w, a.denied("s3:GetObject"))
		return
	}
	objects := a.bucket.Objects
	i := s3Search(objects, a.key)
	if i == objects.Len() || objects.At(i).Path != a.key {
		if !a.mayList(a.key) { // a denied listing must not reveal it
			s3Fail(w, a.denied("s3:ListBucket"))
			return
		}
		s3Fail(w, s3Error{http.StatusNotFound, "NoSuchKey", "The specified key does not exist."})
		return
	}
	file := objects.At(i)
	s.counters.file(r, file.Path)
	mtime := s.faults.age(r, a.bucket.ModTime)
	etag, modified := s3ETag(&file, mtime), mtime.UTC().Format(http.TimeFormat)
	h := w.Header()
	h["Etag"] = []string{etag}
	h["Last-Modified"] = []string{modified}
	h["Accept-Ranges"] = acceptRangesHeader
	switch checkConditions(r, etag, modified) {
	case http.StatusPreconditionFailed:
		s3Fail(w, s3Status[http.StatusPreconditionFailed])
		return
	case http.StatusNotModified:
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h["Content-Type"] = []string{"binary/octet-stream"}
	if a.bucket.ContentEncoding != "" {
		h["Content-Encoding"] = []string{a.bucket.ContentEncoding}
	}
	part := span{end: file.size(), size: file.size()}
	if asked := r.Header.Get("Range"); asked != "" && s.faults.claim(onRange, r, span{}) == nil {
		var ok bool
		if part, ok = parseRange(asked, file.size()); !ok || file.size() == 0 {
			h.Del("Content-Type")
			s3Fail(w, s3Status[http.StatusRequestedRangeNotSatisfiable])
			return
		}
	}
	body := io.NewSectionReader(file.bytes(), 0, file.size())
	if a.bucket.Checksums && !part.partial && r.Header.Get("X-Amz-Checksum-Mode") == "ENABLED" {
		h["X-Amz-Checksum-Crc32"] = []string{s3Checksum(body)}
		h["X-Amz-Checksum-Type"] = []string{"FULL_OBJECT"}
	}
	s.sendSpan(w, r, &content{name: file.Path, size: file.size(), mtime: mtime, body: body}, part)
}

// s3Search returns how many keys come before this one.
func s3Search(objects Objects, key string) int {
	return sort.Search(objects.Len(), func(i int) bool { return objects.At(i).Path >= key })
}

// s3ETag looks like an MD5, as it often is. It changes with the content and, like that of a
// multipart upload, possibly with the time.
func s3ETag(f *GeneratedFile, mtime time.Time) string {
	key := noiseKey(f) ^ splitmix(uint64(mtime.Unix())) ^ splitmix(uint64(crc32.Checksum(f.Data, castagnoli))) //nolint:gosec // any bits will do
	const digits = "0123456789abcdef"
	b := make([]byte, 0, 34)
	b = append(b, '"')
	for _, word := range [2]uint64{key, splitmix(key)} {
		for shift := 60; shift >= 0; shift -= 4 {
			b = append(b, digits[word>>shift&15])
		}
	}
	return string(append(b, '"'))
}

// s3Checksum reads a body for its checksum.
func s3Checksum(body *io.SectionReader) string {
	sum := crc32.NewIEEE()
	_, _ = io.Copy(sum, io.NewSectionReader(body, 0, body.Size())) // described objects cannot fail
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum.Sum32()))
}
