// Package source is the contract between the downloader and the places that serve a
// dataset's bytes: the requests to a [Source], its answers, and its errors. The package
// makes no requests itself, and decides nothing about retries: that is the downloader's
// part.
//
// Each implementation has a folder below this one; sourcetest is the contract as a test.
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

// Source is a place that serves a dataset's bytes. It makes one attempt and returns a plain
// error. Only the downloader decides when to try again, so a client library's own retries
// must be off. Its methods are called from many goroutines at once. A Source remembers
// nothing about objects.
//
// downloader/source/sourcetest is the contract as a test.
type Source interface {
	// Name is the source's word in flags, reports and records, like "physionet".
	Name() string

	// Open starts to read an object. The caller closes the Object's Body, and cancels ctx
	// to stop early. The error wraps ErrNotExist, ErrRange, ErrChanged or ErrNotModified;
	// or it is an *AccessError when a person must act, a *StatusError when the server
	// refuses for now, or any other trouble.
	Open(ctx context.Context, r Request) (*Object, error)
}

// Request names the requested bytes.
type Request struct {
	Ref  manifest.Ref // both parts are set
	Path string       // of the entry; manifest.Name means the manifest itself
	// Offset is the first requested byte.
	Offset int64
	// Length is the number of requested bytes, 0 for all up to the object's end. If the
	// object ends earlier, there are fewer.
	Length int64
	// Validator, with an Offset or a Length, is the validator that the object's other bytes
	// had. If the object has another one now, it is sent whole, from byte 0, or the error
	// is ErrChanged, depending on the source's protocol.
	Validator string
	// NoneMatch asks for the object only if it no longer has this validator; otherwise the
	// error is ErrNotModified.
	NoneMatch string
}

// Object is the bytes of one entry at one source, being read.
type Object struct {
	Body io.ReadCloser
	// Offset is where Body starts. It is 0 if the source didn't start at Request.Offset:
	// then Body is the whole object, whatever Request.Length says, and the bytes fetched
	// before are useless unless they had the same Validator.
	Offset    int64
	Size      int64     // of the whole object, -1 if unknown
	Validator string    // strong ETag or generation; empty if there is none
	Modified  time.Time // zero if unknown
	// Fixed means that the Validator changes whenever the bytes do, as in a store. A
	// validator made of a file's size and time isn't fixed.
	Fixed bool
}

// Lister is a Source that can list its objects with their sizes, which no manifest has.
// Object stores can; PhysioNet can't.
type Lister interface {
	// List yields the objects of a version, each once, in any order. It asks the server for
	// a page when the last one is used up, so that memory doesn't grow with the dataset,
	// and keeps nothing open in between: the caller may stop early. An error is of the
	// kinds that Open returns, and ends the list. Nothing is tried again.
	//
	// A listed object need not be in the manifest, and may be forbidden to read.
	List(ctx context.Context, ref manifest.Ref) iter.Seq2[Listed, error]
}

// Listed is an object of a listing. Its path comes from the server: don't trust it.
type Listed struct {
	Path string
	Size int64 // bytes as stored
}

// MayCarrySecrets reports whether a Source may send a password or a token to a URL: over
// https, or to this machine.
func MayCarrySecrets(u *url.URL) bool {
	return u.Scheme == "https" || u.Scheme == "http" && loopback.Is(u.Hostname())
}

// Idler is a Source that keeps idle connections.
type Idler interface {
	// CloseIdleConnections closes unused connections. The next request opens another.
	CloseIdleConnections()
}

// Renewer is a Source that remembers its login.
type Renewer interface {
	// Renew forgets the credentials, their sessions and how the server answered them: the
	// next request looks for credentials again. Running requests continue. People who log
	// in or out, or reload the configuration, expect that.
	Renew()
}

// Publisher is a Source that also knows what is published.
type Publisher interface {
	// Latest returns the newest version of a dataset. The error is an *AccessError with
	// UnknownVersion if there is no such dataset.
	Latest(ctx context.Context, dataset string) (string, error)
	// PublishedSize returns the size of all files of a version in bytes. Call it at most
	// once per pass: PhysioNet allows 20 such calls per hour.
	PublishedSize(ctx context.Context, ref manifest.Ref) (int64, error)
}
