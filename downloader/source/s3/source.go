// Package s3 fetches from Amazon S3, and from any store with the same protocol: PhysioNet's
// open bucket, the access points of its controlled datasets, or a lab's own MinIO or Ceph.
//
// # Protocol
//
// Objects are requested by the manifest's names, so no permission to list is needed. A
// range is pinned with If-Match to the ETag of the other bytes: bytes of two objects never
// mix. If the store has a checksum of the whole object, the body is checked against it; the
// manifest's SHA-256 is the authority in any case. Only HTTP/1.1: the bytes come over as
// many TCP connections as the budget allows.
//
// The AWS SDK makes one attempt, and follows no redirect. The exception to both is a wrong
// clock: the store's answer says what time it is, and the request is signed once more with
// that time.
//
// # Secrets
//
// Credentials are those that the AWS SDK finds: environment, profile, SSO, container,
// instance. They never leave this package. Requests have signatures in headers, never in a
// URL, and errors quote no answer of a server beyond its code and the identity that it
// names.
package s3

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"mimicsync/downloader/source"
	"mimicsync/downloader/source/httpheader"
	"mimicsync/manifest"
)

// Name is the source's word in flags, reports and records.
const Name = "s3"

// Options configures a Source.
type Options struct {
	// Locations says where each dataset is. A key without a version is for all versions,
	// one without a dataset for all other datasets; without that key, the others are in
	// Open.
	Locations map[manifest.Ref]Location
	// Endpoint is the URL of a store other than Amazon's, with path-style addresses. If it
	// is empty, AWS_ENDPOINT_URL_S3 or the AWS configuration decides.
	Endpoint string
	// PlainHTTP allows an Endpoint without TLS on another machine.
	PlainHTTP bool
	// Connections is how many idle connections are kept; the budget decides how many are
	// used.
	Connections int
	// DialContext makes the connections; nil for a plain net.Dialer.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
}

// Source is S3 as a source.Source. It is safe for concurrent use.
type Source struct {
	client *http.Client
	wallet *wallet
	places map[manifest.Ref]*place // including one for the zero Ref
}

// place is a Location with the client for it.
type place struct {
	Location

	wallet     *wallet
	client     *sdk.Client
	identities *sts.Client
	amazon     bool // not another store's endpoint

	// moved has the region that the store named for a bucket. Access points aren't in it:
	// their names have the region.
	moved sync.Map
	// accepted is the ID of the access key whose signature the store last accepted, nil if
	// none.
	accepted atomic.Pointer[string]
}

var (
	_ source.Source  = (*Source)(nil)
	_ source.Lister  = (*Source)(nil)
	_ source.Idler   = (*Source)(nil)
	_ source.Renewer = (*Source)(nil)
)

// New returns a Source. It reads the AWS configuration, which ctx limits, and makes no
// request. The error says what is wrong with the Options or the configuration.
func New(ctx context.Context, o Options) (*Source, error) {
	cfg, client, wallet, err := load(ctx, o)
	if err != nil {
		return nil, err
	}
	s := &Source{client: client, wallet: wallet, places: make(map[manifest.Ref]*place, len(o.Locations)+1)}
	for ref, l := range o.Locations {
		if s.places[ref], err = newPlace(ctx, cfg, wallet, o, l); err != nil {
			return nil, err
		}
	}
	if s.places[manifest.Ref{}] == nil {
		if s.places[manifest.Ref{}], err = newPlace(ctx, cfg, wallet, o, Open); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// Name implements source.Source.
func (s *Source) Name() string { return Name }

// String keeps the content out of logs.
func (s *Source) String() string { return Name }

// CloseIdleConnections implements source.Idler.
func (s *Source) CloseIdleConnections() { s.client.CloseIdleConnections() }

// Renew implements source.Renewer: the next signed request reads the AWS configuration
// again.
func (s *Source) Renew() {
	for _, p := range s.places {
		p.accepted.Store(nil)
	}
	s.wallet.renew()
}

// place finds the place of a version.
func (s *Source) place(ref manifest.Ref) (*place, address, error) {
	p := s.places[manifest.Ref{}]
	for _, key := range []manifest.Ref{{Dataset: ref.Dataset}, ref} {
		if own, ok := s.places[key]; ok {
			p = own
		}
	}
	a, err := p.at(ref)
	return p, a, err
}

// Location is the address of a version, like s3://physionet-open/mimic-iv-demo/2.2/.
func (s *Source) Location(ref manifest.Ref) string {
	_, a, err := s.place(ref)
	if err != nil {
		return ""
	}
	return a.url("")
}

// ReaderPays reports whether the reader agreed to pay for a version.
func (s *Source) ReaderPays(ref manifest.Ref) bool {
	p, _, err := s.place(ref)
	return err == nil && p.RequesterPays
}

// Open implements source.Source.
func (s *Source) Open(ctx context.Context, r source.Request) (*source.Object, error) {
	p, a, err := s.place(r.Ref)
	if err != nil {
		return nil, err
	}
	o, err := p.get(ctx, a, r)
	switch {
	case errors.Is(err, source.ErrRange) && r.Offset == 0:
		// S3 rejects a range of an empty object, but serves the whole.
		r.Length = 0
		return p.get(ctx, a, r)
	case errors.Is(err, source.ErrNotExist) && r.Path == manifest.Name:
		return nil, p.noManifest(ctx, a, r.Ref, err)
	}
	return o, err
}

func (p *place) get(ctx context.Context, a address, r source.Request) (*source.Object, error) {
	in := &sdk.GetObjectInput{Bucket: &a.bucket, Key: aws.String(a.prefix + r.Path)}
	var options []func(*sdk.Options)
	if r.Offset > 0 || r.Length > 0 {
		in.Range = aws.String(httpheader.Range(r.Offset, r.Length))
		if r.Validator != "" {
			in.IfMatch = &r.Validator
		}
		options = append(options, withoutChecksum)
	}
	if r.NoneMatch != "" {
		in.IfNoneMatch = &r.NoneMatch
	}
	if p.RequesterPays {
		in.RequestPayer = types.RequestPayerRequester
	}
	out, err := attempt(ctx, p, a, func(at func(*sdk.Options)) (*sdk.GetObjectOutput, error) {
		return p.client.GetObject(ctx, in, append(slices.Clip(options), at)...)
	})
	if err != nil {
		return nil, p.explain(ctx, a, r.Ref, r.Path, err)
	}
	packing := source.PackingOf(r.Path, aws.ToString(out.ContentEncoding))
	if packing == source.Gzipped && in.Range != nil { // a part of it is of no use
		_ = out.Body.Close()
		r.Offset, r.Length, r.Validator = 0, 0, ""
		return p.get(ctx, a, r)
	}
	o, err := object(r, out)
	switch {
	case err == nil && packing == source.Gzipped:
		err = source.Unpack(o)
	case err == nil && packing == source.OddlyPacked:
		err = &source.EncodingError{Encoding: *out.ContentEncoding}
	}
	if err != nil {
		_ = out.Body.Close() // the error describes the answer, not its body
		return nil, fmt.Errorf("%s: %w", a.url(r.Path), err)
	}
	return o, nil
}

// withoutChecksum is for ranges: a checksum is that of the whole object, and some stores
// send it with each part.
func withoutChecksum(o *sdk.Options) {
	o.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenRequired
}

// object makes an object of an answer, or an error.
func object(r source.Request, out *sdk.GetObjectOutput) (*source.Object, error) {
	o := &source.Object{
		Body: out.Body, Size: -1, Validator: httpheader.StrongETag(aws.ToString(out.ETag)), Modified: aws.ToTime(out.LastModified),
	}
	o.Fixed = o.Validator != ""
	if out.ContentLength != nil {
		o.Size = *out.ContentLength
	}
	if out.ETag == nil || isPage(aws.ToString(out.ContentType)) && requestID(out.ResultMetadata) == "" && !isPage(typeOf(r.Path)) {
		body, err := source.Judge(aws.ToString(out.ContentType), out.Body)
		if err != nil {
			return nil, err
		}
		o.Body = body
	}
	if out.ContentRange != nil {
		start, end, total, ok := httpheader.ParseContentRange(*out.ContentRange)
		if !ok || !httpheader.EndsAsAsked(r, end, total) || start != r.Offset {
			return nil, fmt.Errorf("%w: its Content-Range is %q", source.ErrNoRange, *out.ContentRange)
		}
		o.Offset, o.Size = start, total
	}
	if o.Offset > 0 && r.Validator != "" && o.Validator != r.Validator {
		return nil, source.ErrChanged // the store doesn't know If-Match
	}
	return o, nil
}

func isPage(contentType string) bool { return strings.HasPrefix(contentType, "text/html") }

// typeOf is the media type for a file's name.
func typeOf(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".html", ".htm", ".shtml", ".xhtml":
		return "text/html"
	}
	return ""
}

// requestID is a header of every answer from Amazon and similar stores.
func requestID(m middleware.Metadata) string {
	answer, ok := awsmiddleware.GetRawResponse(m).(*smithyhttp.Response)
	if !ok || answer.Response == nil {
		return ""
	}
	return answer.Header.Get("X-Amz-Request-Id")
}

// noManifest finds out what is missing: the manifest or, if there are no files at all, the
// version.
func (p *place) noManifest(ctx context.Context, a address, ref manifest.Ref, missing error) error {
	out, err := p.list(ctx, a, ref, &sdk.ListObjectsV2Input{MaxKeys: aws.Int32(1)})
	if err != nil || len(out.Contents) > 0 {
		return missing // if the listing is denied, too, that says nothing
	}
	e := p.refused(source.UnknownVersion, "", ref)
	e.Detail = fmt.Sprintf("%s has no files below %s; a dataset that requires an agreement has an access point, "+
		"whose ARN is on its page and belongs in the configuration", ref, a.url(""))
	return e
}
