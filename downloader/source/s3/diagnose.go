package s3

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

var _ source.Diagnoser = (*Source)(nil)

// Reach implements source.Diagnoser.
func (s *Source) Reach(ctx context.Context, ref manifest.Ref) (source.Reached, error) {
	p, bucket, err := s.placeOf(ref)
	if err != nil {
		return source.Reached{}, err
	}
	endpoint, err := p.endpoint(ctx, bucket)
	if err != nil {
		return source.Reached{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodHead, endpoint, http.NoBody)
	if err != nil {
		return source.Reached{}, err
	}
	return source.Reach(roundTripper{p.client.Options().HTTPClient}, request)
}

// Identify implements source.Diagnoser: it asks Amazon whose credentials these are. Amazon
// tells everybody; other stores don't.
func (s *Source) Identify(ctx context.Context, ref manifest.Ref) (source.Identity, error) {
	p, bucket, err := s.placeOf(ref)
	if err != nil {
		return source.Identity{}, err
	}
	me := source.Identity{Anonymous: p.Anonymous}
	provider := p.client.Options().Credentials
	if p.Anonymous || provider == nil {
		return me, nil
	}
	found, err := provider.Retrieve(ctx)
	if err != nil {
		return me, p.explain(ctx, address{bucket: aws.ToString(bucket)}, ref, "", err)
	}
	me.From = origin(found)
	if !p.amazon {
		return me, nil
	}
	out, err := p.identities.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return me, p.unidentified(ctx, ref, err)
	}
	me.User = aws.ToString(out.Arn)
	point := address{bucket: aws.ToString(bucket)}.accessPoint()
	if point != "" && onlyUsers(me.User) != "" {
		e := p.refused(source.Forbidden, source.CauseNoUser, ref)
		e.User, e.From = me.User, me.From
		e.Detail = fmt.Sprintf("the credentials are those of %s%s", me.User, onlyUsers(me.User))
		return me, e
	}
	return me, nil
}

// unidentified distinguishes rejected credentials from a service that can't be reached: a
// network may allow only S3.
func (p *place) unidentified(ctx context.Context, ref manifest.Ref, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	switch codeOf(err) {
	case "InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException":
		return p.identify(ctx, p.refusal(address{}, ref, "", err, &http.Response{StatusCode: http.StatusForbidden}))
	}
	return nil
}

// placeOf finds the place of a version, and its bucket. For the zero Ref, it is the first
// place that requires credentials, and no bucket.
func (s *Source) placeOf(ref manifest.Ref) (*place, *string, error) {
	if ref.Dataset != "" {
		p, a, err := s.place(ref)
		return p, &a.bucket, err
	}
	first := s.places[manifest.Ref{}]
	for _, p := range slices.SortedFunc(maps.Values(s.places), func(a, b *place) int { return cmp.Compare(a.URL, b.URL) }) {
		if first.Anonymous && !p.Anonymous {
			first = p
		}
	}
	return first, nil, nil
}

// endpoint is the address of a bucket, or of the store.
func (p *place) endpoint(ctx context.Context, bucket *string) (string, error) {
	so := p.client.Options()
	e, err := so.EndpointResolverV2.ResolveEndpoint(ctx, sdk.EndpointParameters{
		Bucket: bucket, Region: &so.Region, Endpoint: so.BaseEndpoint, ForcePathStyle: &so.UsePathStyle, UseArnRegion: &so.UseARNRegion,
	}.WithDefaults())
	if err != nil {
		return "", err
	}
	return strings.TrimSuffix(e.URI.String(), "/") + "/", nil
}

// transport is the HTTP client of the SDK, which follows no redirect.
type roundTripper struct{ aws.HTTPClient }

// RoundTrip implements http.RoundTripper.
func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return t.Do(r) }
