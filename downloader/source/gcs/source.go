// Package gcs fetches from the Google Cloud Storage copies of PhysioNet's datasets, for
// which the reader pays.
//
// # Protocol
//
// Objects are read by the manifest's names, with the XML API, over HTTP/1.1: reading needs
// no permission to list. Each read after the first is pinned to the object's generation,
// which is its validator. Bytes come as they are stored: an object with Content-Encoding
// gzip is requested as it is, and not unpacked. The server's CRC32C is checked over objects
// that are read whole; for ranges there is none.
//
// A project pays only if Options name it. The application default credentials may contain a
// quota project, which Google's own libraries send with every request, and which would then
// pay: here credentials give a token, and nothing else of them is sent.
//
// # One attempt
//
// The client library reopens a body that broke off, without pause or limit, even if its
// retries are off, and each opening is billed on these buckets. After the first break it
// gets no further, see wire: the downloader decides when to try again.
package gcs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"cloud.google.com/go/storage"
	"google.golang.org/api/iterator"
	"google.golang.org/api/option"

	"mimicsync/downloader/source"
	"mimicsync/downloader/source/httpheader"
	"mimicsync/downloader/source/transport"
	"mimicsync/manifest"
)

// DefaultEndpoint is the address of Google Cloud Storage.
const DefaultEndpoint = "https://storage.googleapis.com"

// Name is the source's word in flags, reports and records.
const Name = "gcs"

// DefaultBucket is the name that PhysioNet gives to the bucket of a version.
func DefaultBucket(ref manifest.Ref) string {
	return ref.Dataset + "-" + ref.Version + ".physionet.org"
}

// Options configures a Source.
type Options struct {
	// Bucket names the bucket of a version; DefaultBucket if nil.
	Bucket func(manifest.Ref) string
	// BillingProject is the Google Cloud project that pays for reading; empty for buckets
	// whose owner pays.
	BillingProject string
	// Anonymous sends no credentials. Otherwise the application default credentials are
	// looked for when they are first needed; if there are none, requests are sent without.
	Anonymous bool
	// Endpoint is another server with Google's API, such as an emulator: an https URL
	// without a path, or http to this machine. DefaultEndpoint if empty.
	//
	// The environment isn't read. A command that honours STORAGE_EMULATOR_HOST like
	// Google's libraries prepends "http://" if it has no scheme, and sets Anonymous.
	Endpoint string
	// Connections is the largest number of connections; the budget decides how many are
	// used.
	Connections int
	// DialContext makes connections to the endpoint and to Google's login; nil for a plain
	// net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	Version     string // of mimicsync, for the User-Agent
}

// Source is Google Cloud Storage as a source.Source. It is safe for concurrent use.
type Source struct {
	client    *storage.Client
	transport httpheader.Guard // below the client
	agent     string
	address   string
	bucket    func(manifest.Ref) string
	billing   string
	login     *login
}

var (
	_ source.Source  = (*Source)(nil)
	_ source.Lister  = (*Source)(nil)
	_ source.Idler   = (*Source)(nil)
	_ source.Renewer = (*Source)(nil)
)

// New returns a Source. It makes no request. The error says what is wrong with the
// endpoint.
func New(o Options) (*Source, error) {
	if o.Endpoint == "" {
		o.Endpoint = DefaultEndpoint
	}
	base, err := url.Parse(strings.TrimSuffix(o.Endpoint, "/"))
	if err != nil || base.Host == "" || base.User != nil || base.Path != "" || base.RawQuery != "" || !source.MayCarrySecrets(base) {
		return nil, fmt.Errorf("the endpoint of Google Cloud Storage must be a URL like %s, without user and path (http:// works only to this machine)", DefaultEndpoint)
	}
	if o.Bucket == nil {
		o.Bucket = DefaultBucket
	}
	data := httpheader.NewGuard(transport.New(transport.Options{DialContext: o.DialContext, Connections: o.Connections, Idle: 90 * time.Second}))
	// Bodies may use all connections, and a login must not wait for them.
	tokens := httpheader.NewGuard(transport.New(transport.Options{DialContext: o.DialContext, Connections: o.Connections, Idle: 90 * time.Second}))
	tokens.MaxConnsPerHost = 0
	s := &Source{transport: data, agent: "mimicsync/" + o.Version, address: base.String(), bucket: o.Bucket, billing: o.BillingProject}
	s.login = newLogin(o.Anonymous, &http.Client{Transport: listening{tokens}, Timeout: tokenTimeout})
	client := &http.Client{
		Transport: &wire{base: data, login: s.login, agent: s.agent},
		// Nothing here redirects. A server that does must not get the token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	// The client gets no credentials of its own: it would add what else they contain. It
	// keeps its context for nothing.
	s.client, err = storage.NewClient(context.Background(), option.WithHTTPClient(client), option.WithoutAuthentication(),
		option.WithEndpoint(s.address+"/storage/v1/"), option.WithLogger(slog.New(slog.DiscardHandler)), storage.WithDisabledClientMetrics())
	if err != nil {
		return nil, fmt.Errorf("make a client of Google Cloud Storage: %w", err)
	}
	s.client.SetRetry(storage.WithPolicy(storage.RetryNever))
	return s, nil
}

// CloseIdleConnections implements source.Idler.
func (s *Source) CloseIdleConnections() {
	s.transport.CloseIdleConnections()
	s.login.client.CloseIdleConnections()
}

// Renew implements source.Renewer: the next request looks for the application default
// credentials again.
func (s *Source) Renew() { s.login.renew() }

// Name implements source.Source.
func (s *Source) Name() string { return Name }

// String names the source and its address.
func (s *Source) String() string { return Name + " at " + s.address }

func (s *Source) handle(ref manifest.Ref) *storage.BucketHandle {
	b := s.client.Bucket(s.bucket(ref))
	if s.billing != "" {
		b = b.UserProject(s.billing)
	}
	return b
}

// Open implements source.Source.
func (s *Source) Open(ctx context.Context, r source.Request) (*source.Object, error) {
	x := &exchange{ref: r.Ref, noneMatch: r.NoneMatch, offset: r.Offset}
	o, err := s.read(x.within(ctx), x, r)
	if err != nil {
		return nil, err
	}
	packing := source.PackingOf(r.Path, x.header.Get("Content-Encoding"))
	if packing == source.Gzipped && x.status == http.StatusPartialContent { // a part of it is of no use
		_ = o.Body.Close()
		r.Offset, r.Length, r.Validator = 0, 0, ""
		return s.Open(ctx, r)
	}
	err = s.judge(r, o)
	switch {
	case err == nil && packing == source.Gzipped:
		err = source.Unpack(o)
	case err == nil && packing == source.OddlyPacked:
		err = fmt.Errorf("%s: %w", s.name(r), &source.EncodingError{Encoding: x.header.Get("Content-Encoding")})
	}
	if err != nil {
		_ = o.Body.Close() // the error describes the answer, not its body
		return nil, err
	}
	return o, nil
}

// read makes a request, and an object of the answer.
func (s *Source) read(ctx context.Context, x *exchange, r source.Request) (*source.Object, error) {
	object := s.handle(r.Ref).Object(r.Path).ReadCompressed(true)
	if r.Validator != "" && (r.Offset > 0 || r.Length > 0) {
		generation, err := strconv.ParseInt(r.Validator, 10, 64)
		if err != nil { // it is another source's, and so are the other bytes
			return nil, fmt.Errorf("%s: %w", s.name(r), source.ErrChanged)
		}
		object = object.Generation(generation)
	}
	length := r.Length
	if length == 0 {
		length = -1 // for the client, 0 means no bytes
	}
	reader, err := object.NewRangeReader(ctx, r.Offset, length)
	if x.whole != nil {
		o := &source.Object{Body: x.whole.Body, Size: x.whole.ContentLength, Validator: x.header.Get(generationHeader), Fixed: true}
		o.Modified, _ = http.ParseTime(x.header.Get("Last-Modified")) // zero if unknown
		return o, nil
	}
	if err != nil {
		return nil, s.explain(x, r, err)
	}
	return &source.Object{
		Body: &body{reader: reader, exchange: x}, Offset: reader.Attrs.StartOffset, Size: reader.Attrs.Size,
		Validator: x.header.Get(generationHeader), Modified: reader.Attrs.LastModified, Fixed: true,
	}, nil
}

// judge handles the answer of a server that doesn't know conditions, like some emulators.
func (s *Source) judge(r source.Request, o *source.Object) error {
	switch {
	case r.NoneMatch != "" && o.Validator == r.NoneMatch:
		return source.ErrNotModified
	case r.Validator != "" && o.Validator != r.Validator && o.Offset > 0:
		return fmt.Errorf("%s: %w", s.name(r), source.ErrChanged)
	}
	return nil
}

// List implements source.Lister.
func (s *Source) List(ctx context.Context, ref manifest.Ref) iter.Seq2[source.Listed, error] {
	return func(yield func(source.Listed, error) bool) {
		x := &exchange{ref: ref, listing: true}
		query := &storage.Query{Projection: storage.ProjectionNoACL}
		if err := query.SetAttrSelection([]string{"Name", "Size"}); err != nil {
			panic("gcs: " + err.Error()) // the names are right
		}
		objects := s.handle(ref).Objects(x.within(ctx), query)
		objects.PageInfo().MaxSize = pageSize
		for {
			attrs, err := objects.Next()
			if errors.Is(err, iterator.Done) {
				return
			}
			if err != nil {
				yield(source.Listed{}, s.explain(x, source.Request{Ref: ref}, err))
				return
			}
			if !yield(source.Listed{Path: attrs.Name, Size: attrs.Size}, nil) {
				return
			}
		}
	}
}

// pageSize is how many objects a page of a listing has, the server's maximum.
const pageSize = 5000

// name is the object of a request, for messages.
func (s *Source) name(r source.Request) string { return "gs://" + s.bucket(r.Ref) + "/" + r.Path }

// body is an object's bytes. Its errors are those of the connection, and not those that the
// client got when it tried to continue.
type body struct {
	reader   *storage.Reader
	exchange *exchange
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) && b.exchange.broken != nil {
		err = b.exchange.broken
	}
	return n, err
}

// Close implements io.Closer.
func (b *body) Close() error { return b.reader.Close() }
