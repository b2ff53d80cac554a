// Package source is the contract between the downloader and the places that serve
// a dataset's bytes: what a [Source] is asked for and returns, and the errors by
// which it says why it returned nothing. It makes no requests itself, and decides
// nothing about retries: that is the downloader's part.
//
// Each implementation has a folder beneath this one; sourcetest is the contract as
// a test.
package source

import (
	"context"
	"io"
	"iter"
	"net/url"
	"time"

	"mimicsync/internal/loopback"
	"mimicsync/manifest"
)

// Source is a place that serves a dataset's bytes. It makes one attempt and
// returns a plain error: when to try again is decided by the downloader alone, so a
// client library's own retries must be off. Its methods are called from many
// goroutines at once. A Source remembers nothing about objects.
//
// downloader/source/sourcetest is the contract as a test.
type Source interface {
	// Name is the word for it in flags, reports and records, as in "physionet".
	Name() string

	// Open starts to read an object. The caller closes the Object's Body, and
	// cancels ctx to break off. The error wraps ErrNotExist, ErrRange,
	// ErrChanged or ErrNotModified, or is an *AccessError when a person must
	// act, a *StatusError when the server said no for now, or whatever went
	// wrong.
	Open(ctx context.Context, r Request) (*Object, error)
}

// Request names the bytes that are wanted.
type Request struct {
	Ref  manifest.Ref // both parts are set
	Path string       // of the entry; manifest.Name stands for the manifest itself
	// Offset is the first byte that is wanted.
	Offset int64
	// Length is how many bytes are wanted, 0 for all to the object's end. An
	// object that ends sooner gives fewer.
	Length int64
	// Validator, with an Offset or a Length, is what the object's other bytes
	// were served under. An object that is no longer that one comes whole, from
	// byte 0, or the error is ErrChanged, as the source's protocol has it.
	Validator string
	// NoneMatch asks for the object only if it is not this one any more; else
	// the error is ErrNotModified.
	NoneMatch string
}

// Object is the bytes of one entry at one source, on their way.
type Object struct {
	Body io.ReadCloser
	// Offset is where Body starts. It is 0 where the source could not, or
	// would not, start at Request.Offset: Body then is the whole object,
	// whatever Request.Length says, and what was fetched before is void unless
	// Validator is the one it was fetched under.
	Offset    int64
	Size      int64     // of the whole object, -1 when unknown
	Validator string    // strong ETag or generation; empty when there is none
	Modified  time.Time // zero when unknown
	// Fixed means that the Validator is another one whenever the bytes are, as that
	// of a store is, and not made of a file's size and time.
	Fixed bool
}

// Lister is a Source that can also say which objects it has, with their sizes,
// which no manifest knows. Object stores can; PhysioNet cannot.
type Lister interface {
	// List yields the objects of a version, each once, in no promised order. It
	// asks the server for a page when the last one is used up, so that memory
	// does not grow with the dataset, and it holds nothing open in between: the
	// caller may break off. An error is of the kinds that Open returns, and the
	// last thing that is yielded. Nobody tries again.
	//
	// What is listed need not be in the manifest, and may be forbidden to read.
	List(ctx context.Context, ref manifest.Ref) iter.Seq2[Listed, error]
}

// Listed is an object of a listing. Its path is as the server has it: a name
// from outside.
type Listed struct {
	Path string
	Size int64 // bytes as they are stored
}

// MayCarrySecrets reports whether a Source may send a password or a token to a
// URL: over https, or to this machine itself.
func MayCarrySecrets(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && loopback.Is(u.Hostname())
}

// Idler is a Source that keeps connections for requests to come.
type Idler interface {
	// CloseIdleConnections closes those that no request uses. The next one opens
	// another.
	CloseIdleConnections()
}

// Renewer is a Source that remembers who we are to it.
type Renewer interface {
	// Renew forgets the credentials that were found, the sessions that were opened
	// with them and what the server said of them: the next request looks for them
	// anew. Requests on their way end as they would. A person who logs in or out,
	// or reloads the configuration, expects it.
	Renew()
}

// Publisher is a Source that also knows what there is to fetch.
type Publisher interface {
	// Latest returns the newest version of a dataset. The error is an
	// *AccessError with UnknownVersion if there is no such dataset.
	Latest(ctx context.Context, dataset string) (string, error)
	// PublishedSize returns the size of all files of a version in bytes. It
	// may be called once a pass: PhysioNet allows 20 such calls an hour.
	PublishedSize(ctx context.Context, ref manifest.Ref) (int64, error)
}
