package s3

import (
	"context"
	"errors"
	"net/http"
	"slices"

	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// The store's words for what the next attempt may mend.
const (
	codeSkewed    = "RequestTimeTooSkewed"
	codeMalformed = "AuthorizationHeaderMalformed"
	codeSignature = "SignatureDoesNotMatch"
)

// outdated are those for credentials that have ended, or are no more.
var outdated = []string{
	"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired", "InvalidToken", "InvalidTokenId",
	"InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException",
}

// otherRegion are those for a bucket that is in another region.
var otherRegion = []string{"PermanentRedirect", "TemporaryRedirect", codeMalformed, "IllegalLocationConstraintException", "MovedPermanently"}

// attempt calls the store once, and once more for each thing that its answer lets
// mend at once: this machine's clock, which the SDK has learned from the answer;
// credentials that are over, where the provider has others; and the region.
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

// mended is what was mended in the course of a call, each once, and what the last
// attempt went by.
type mended struct {
	clock, credentials, region bool

	round uint64 // of the wallet
	asked string // in which region
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

// mend does what an answer lets do, and reports whether there is sense in another
// attempt. Others may have done it since.
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

// region is the one that a bucket is asked for in.
func (p *place) region(a address) string {
	if region, ok := p.moved.Load(a.bucket); ok {
		return region.(string) // nothing else is kept
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

// regionOf is the region that the store names, empty if it names none.
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
