package lookalike

import (
	"io"
	"net/http"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// GCS is an [http.Handler] that answers readers like Google Cloud Storage: objects with the
// XML API (/<bucket>/<object>), listings with the JSON API (/storage/v1/b/<bucket>/o) and
// objects at the links in them, access tokens at /token, which a key file's token_uri may
// name. Buckets may be requester pays or not public, and may contain objects that are
// unreadable, wrong or compressed. It has the faults, limits and counters of a [Host]; a
// body's faults strike only reads of objects.
//
// It doesn't check signatures: naming an account is enough. It doesn't write, and it
// doesn't know delimiters, descriptions of single objects, versions, or HMAC keys. It is
// safe for concurrent use.
type GCS struct {
	Host

	// mu guards the fields below. What the maps point to is never changed, only replaced.
	mu       sync.RWMutex
	buckets  map[string]*Bucket
	accounts map[string]Account // by e-mail
	tokens   map[string]string  // valid access tokens, and their accounts' e-mails
	issued   int                // tokens so far
	closed   map[string]bool    // billing projects that can't pay
}

// Objects are the objects of a bucket, in the order of their paths' bytes. [GeneratedFS] is
// one; one that computes its files on demand can contain millions. It must be safe for
// concurrent use.
type Objects interface {
	Len() int
	At(i int) GeneratedFile
}

// Bucket is a bucket and its readers. It must not be changed once it is published.
type Bucket struct {
	Name    string
	Objects Objects
	// RequesterPays refuses requests without a billing project.
	RequesterPays bool
	// Readers are the e-mails of the accounts that may read and list; nil means everybody.
	Readers []string
	// NoList refuses listings to readers too.
	NoList bool
	// ModTime is the time of all objects; a fixed day if it is zero. Generations derive
	// from it.
	ModTime time.Time

	// The objects for which these functions are true: nobody can read Denied ones; Wrong
	// ones have the first byte inverted and a matching checksum; Encoded ones were stored
	// with Content-Encoding gzip. Each may be nil.
	Denied, Wrong, Encoded func(path string) bool

	sums *checksums
}

// Account is an account that can log in at /token.
type Account struct {
	Email string
	// RefreshToken is in a person's login. A service account is known by the e-mail in its
	// key file.
	RefreshToken string
	// Projects are those that the account may have billed.
	Projects []string
	// Expired rejects logins, as Google does for people after some hours or days:
	// invalid_grant, invalid_rapt.
	Expired bool
}

// NewGCS returns a server of these buckets, without accounts.
func NewGCS(buckets ...Bucket) *GCS {
	g := &GCS{
		Host: newHost(), buckets: make(map[string]*Bucket), accounts: make(map[string]Account), tokens: make(map[string]string),
		closed: make(map[string]bool),
	}
	for _, b := range buckets {
		g.Publish(b)
	}
	return g
}

// Publish adds a bucket, or replaces the one with the same name.
func (g *GCS) Publish(b Bucket) {
	if b.ModTime.IsZero() {
		b.ModTime = generatedTime
	}
	b.sums = new(checksums)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.buckets[b.Name] = &b
}

// PutAccount adds an account, or replaces the one with the same e-mail. Its tokens remain
// valid, unless it is Expired.
func (g *GCS) PutAccount(a Account) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.accounts[a.Email] = a
	if !a.Expired {
		return
	}
	for token, email := range g.tokens {
		if email == a.Email {
			delete(g.tokens, token)
		}
	}
}

// CloseBilling makes a billing project unable to pay.
func (g *GCS) CloseBilling(project string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed[project] = true
}

// DropSessions makes all access tokens invalid, as their expiry does.
func (g *GCS) DropSessions() {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.tokens)
}

// ServeHTTP implements [http.Handler].
func (g *GCS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header()["Server"] = uploadServer
	g.serve(w, r, g)
}

var uploadServer = []string{"UploadServer"}

const (
	jsonRoot  = "/storage/v1/b/"
	mediaRoot = "/download/storage/v1/b/"
)

func (g *GCS) route(w *response, r *http.Request) {
	switch {
	case r.URL.Path == "/token" && r.Method == http.MethodPost:
		g.serveToken(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		g.refuse(w, http.StatusMethodNotAllowed)
	case strings.HasPrefix(r.URL.Path, jsonRoot):
		name, rest, _ := strings.Cut(r.URL.Path[len(jsonRoot):], "/")
		if rest != "o" {
			g.refuse(w, http.StatusNotFound)
			return
		}
		g.serveListing(w, r, g.bucketNamed(name))
	case strings.HasPrefix(r.URL.Path, mediaRoot):
		name, object, _ := strings.Cut(r.URL.Path[len(mediaRoot):], "/o/")
		g.serveObject(w, r, g.bucketNamed(name), object)
	default:
		name, object, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
		g.serveObject(w, r, g.bucketNamed(name), object)
	}
}

func (g *GCS) bucketNamed(name string) *Bucket {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.buckets[name]
}

// search returns the place of the first object whose path is not before this one.
func (b *Bucket) search(path string) int {
	return sort.Search(b.Objects.Len(), func(i int) bool { return b.Objects.At(i).Path >= path })
}

// find returns the object of this path.
func (b *Bucket) find(path string) (GeneratedFile, bool) {
	i := b.search(path)
	if i == b.Objects.Len() {
		return GeneratedFile{}, false
	}
	f := b.Objects.At(i)
	return f, f.Path == path
}

// stored is the content of an object, and perhaps more.
func (b *Bucket) stored(f *GeneratedFile) io.ReaderAt {
	if b.Wrong != nil && b.Wrong(f.Path) {
		return inverted{f.bytes()}
	}
	return f.bytes()
}

func (b *Bucket) lets(email string) bool {
	return b.Readers == nil || slices.Contains(b.Readers, email)
}

// inverted has another first byte.
type inverted struct{ io.ReaderAt }

// ReadAt implements [io.ReaderAt].
func (v inverted) ReadAt(p []byte, off int64) (int, error) {
	n, err := v.ReaderAt.ReadAt(p, off)
	if off == 0 && n > 0 {
		p[0] ^= 0xff
	}
	return n, err
}
