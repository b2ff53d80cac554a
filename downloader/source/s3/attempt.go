package s3

import (
	"context"
	"errors"
	"net/http"
	"slices"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// Error codes of the store after which another attempt may succeed.
const (
	codeSkewed    = "RequestTimeTooSkewed"
	codeMalformed = "AuthorizationHeaderMalformed"
	codeSignature = "SignatureDoesNotMatch"
)

// outdated are the codes for credentials that have expired or were deleted.
var outdated = []string{
	"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidTokenId",
	"InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException",
}

// otherRegion are the codes for a bucket in another region.
var otherRegion = []string{"PermanentRedirect", "TemporaryRedirect", codeMalformed, "IllegalLocationConstraintException", "MovedPermanently"}

// attempt calls the store once, and once more for each thing that its answer makes possible
// to correct at once: this machine's clock, which the SDK has learned from the answer;
// expired credentials, if the provider has others; and the region.
func attempt[T any](ctx context.Context, p *place, a address, call func(at func(*sdk.Options)) (T, error)) (T, error) {
	for done := (mended{}); ; {
		done.round, done.asked = p.wallet.round.Load(), p.region(a)
		out, err := call(func(o *sdk.Options) { o.Region = p.region(a) })
		if err == nil {
			p.accept()
			return out, nil
		}
		if ctx.Err() != nil || !p.mend(ctx, a, err, &done) {
			return out, err
		}
	}
}

// mended is what was corrected during a call, each thing once, and the state that the last
// attempt used.
type mended struct {
	clock, credentials, region bool

	round uint64 // of the wallet
	asked string // the region asked
}

// accept notes that the store has accepted a signature.
func (p *place) accept() {
	c := p.wallet.held.Load()
	if p.Anonymous || c == nil {
		return
	}
	if known := p.accepted.Load(); known == nil || *known != c.AccessKeyID {
		p.accepted.Store(&c.AccessKeyID)
	}
}

// mend makes the corrections that an answer suggests, and reports whether another attempt
// makes sense. Another goroutine may have made them already.
func (p *place) mend(ctx context.Context, a address, err error, done *mended) bool {
	code := codeOf(err)
	switch {
	case code == codeSkewed && !done.clock:
		done.clock = true
		return true
	case slices.Contains(outdated, code) && !p.Anonymous && !done.credentials:
		done.credentials = true
		return p.wallet.renewed(ctx, done.round)
	case (slices.Contains(otherRegion, code) || statusOf(err) == http.StatusMovedPermanently) && !done.region:
		done.region = true
		region := regionOf(err)
		if region == "" || region == done.asked || a.accessPoint() != "" {
			return false
		}
		p.moved.Store(a.bucket, region)
		return true
	}
	return false
}

// region is the region to ask for a bucket.
func (p *place) region(a address) string {
	if region, ok := p.moved.Load(a.bucket); ok {
		return region.(string) // nothing else is stored
	}
	return p.client.Options().Region
}

// answerOf is the store's answer, nil if there was none.
func answerOf(err error) *http.Response {
	response, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || response.Response == nil || response.Response.Response == nil || response.Response.StatusCode == 0 {
		return nil
	}
	return response.Response.Response
}

func statusOf(err error) int {
	if answer := answerOf(err); answer != nil { //nolint:bodyclose // the SDK has read and closed it
		return answer.StatusCode
	}
	return 0
}

// regionOf is the region that the store names, empty if none.
func regionOf(err error) string {
	answer := answerOf(err) //nolint:bodyclose // the SDK has read and closed it
	if answer == nil {
		return ""
	}
	region := answer.Header.Get(regionHeader)
	if !regionName.MatchString(region) {
		return ""
	}
	return region
}
