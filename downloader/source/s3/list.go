package s3

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// List implements source.Lister with ListObjectsV2, for the version's own prefix only: an
// access point denies any other. It makes one request per 1,000 objects.
func (s *Source) List(ctx context.Context, ref manifest.Ref) iter.Seq2[source.Listed, error] {
	return func(yield func(source.Listed, error) bool) {
		p, a, err := s.place(ref)
		if err != nil {
			yield(source.Listed{}, err)
			return
		}
		for token := (*string)(nil); ; {
			page, err := p.list(ctx, a, ref, &sdk.ListObjectsV2Input{ContinuationToken: token})
			if err != nil {
				yield(source.Listed{}, err)
				return
			}
			for i := range page.Contents {
				l, ok, err := listed(a, page, &page.Contents[i])
				if !ok && err == nil {
					continue
				}
				if !yield(l, err) || err != nil {
					return
				}
			}
			if !aws.ToBool(page.IsTruncated) {
				return
			}
			next := page.NextContinuationToken
			if next == nil || token != nil && *next == *token {
				yield(source.Listed{}, fmt.Errorf("listing %s: %w", a.url(""), errors.New("the store says that there is more, but not where it begins")))
				return
			}
			token = next
		}
	}
}

// list requests a page of a listing.
func (p *place) list(ctx context.Context, a address, ref manifest.Ref, in *sdk.ListObjectsV2Input) (*sdk.ListObjectsV2Output, error) {
	in.Bucket, in.Prefix = &a.bucket, &a.prefix
	in.EncodingType = types.EncodingTypeUrl // XML can't represent some characters
	if p.RequesterPays {
		in.RequestPayer = types.RequestPayerRequester
	}
	out, err := attempt(ctx, p, a, func(at func(*sdk.Options)) (*sdk.ListObjectsV2Output, error) {
		return p.client.ListObjectsV2(ctx, in, at)
	})
	if err != nil {
		return nil, p.explain(ctx, a, ref, "", err)
	}
	if out.Name == nil && out.KeyCount == nil && len(out.Contents) == 0 {
		return nil, fmt.Errorf("listing %s: %w", a.url(""), noListing(out))
	}
	return out, nil
}

// noListing is the error for an answer that isn't a listing, whatever its status.
func noListing(out *sdk.ListObjectsV2Output) error {
	answer, ok := awsmiddleware.GetRawResponse(out.ResultMetadata).(*smithyhttp.Response)
	if ok && answer.Response != nil && isPage(answer.Header.Get("Content-Type")) {
		return source.ErrWebPage
	}
	return errors.New("the answer has an unexpected form")
}

// listed reads a key. It is not ok for a folder, as consoles create them.
func listed(a address, page *sdk.ListObjectsV2Output, object *types.Object) (l source.Listed, ok bool, err error) {
	key := aws.ToString(object.Key)
	if page.EncodingType == types.EncodingTypeUrl {
		if key, err = url.QueryUnescape(key); err != nil {
			return l, false, fmt.Errorf("listing %s: %w", a.url(""), err)
		}
	}
	path, below := strings.CutPrefix(key, a.prefix)
	if !below {
		return l, false, fmt.Errorf("listing %s: the store lists %q, which is in another folder", a.url(""), key)
	}
	if path == "" || strings.HasSuffix(path, "/") {
		return l, false, nil
	}
	return source.Listed{Path: path, Size: aws.ToInt64(object.Size)}, true, nil
}
