package s3

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"mimicsync/manifest"
)

// Location is where versions of a dataset are.
type Location struct {
	// URL is s3://BUCKET/PREFIX/, where the bucket may be the ARN of an access point:
	// s3://arn:aws:s3:REGION:ACCOUNT:accesspoint/NAME/PREFIX/. {dataset} and {version} are
	// replaced by the requested names.
	URL string
	// Region is the bucket's region; if it is empty, the one of the AWS configuration, or
	// us-east-1. An ARN names its own.
	Region string
	// Anonymous sends no credentials, for public buckets.
	Anonymous bool
	// RequesterPays agrees to pay for requests and traffic.
	RequesterPays bool
}

// Open is where PhysioNet has its open datasets.
var Open = Location{URL: "s3://" + openBucket + "/{dataset}/{version}/", Region: defaultRegion, Anonymous: true}

const openBucket = "physionet-open"

const defaultRegion = "us-east-1" // of all buckets of PhysioNet

// address is a Location for one version.
type address struct {
	bucket string // or the ARN of an access point
	prefix string // empty, or ends with a slash
}

var (
	placeholder = regexp.MustCompile(`\{[^}]*\}`)
	// accessPoint is the ARN of an access point, as the bucket of a URL: its name is the
	// first element after "accesspoint".
	accessPoint = regexp.MustCompile(`^arn:aws[\w-]*:s3[\w-]*:[\w-]*:\d*:accesspoint[/:]([^/:]+)`)
)

// at reads the URL of a Location for a version.
func (l Location) at(ref manifest.Ref) (address, error) {
	if strings.Contains(l.URL, "@") {
		return address{}, errors.New("a location must not contain credentials; put them into the AWS configuration")
	}
	// Every request calls this; a strings.Replacer would cost more than the rest of it.
	url := strings.ReplaceAll(strings.ReplaceAll(l.URL, "{dataset}", ref.Dataset), "{version}", ref.Version)
	rest, ok := strings.CutPrefix(url, "s3://")
	if !ok {
		return address{}, fmt.Errorf("the location %q must begin with s3://", l.URL)
	}
	if odd := placeholder.FindString(rest); odd != "" {
		return address{}, fmt.Errorf("the location %q has %s; the only placeholders are {dataset} and {version}", l.URL, odd)
	}
	var a address
	if strings.HasPrefix(rest, "arn:") {
		a.bucket = accessPoint.FindString(rest)
		a.prefix = strings.TrimPrefix(rest[len(a.bucket):], "/")
	} else {
		a.bucket, a.prefix, _ = strings.Cut(rest, "/")
	}
	if a.bucket == "" || strings.ContainsAny(a.bucket, "?# ") {
		return address{}, fmt.Errorf("the location %q names no bucket; it looks like %s, or like "+
			"s3://arn:aws:s3:us-east-1:ACCOUNT:accesspoint/NAME/{dataset}/{version}/", l.URL, Open.URL)
	}
	if a.prefix != "" && !strings.HasSuffix(a.prefix, "/") {
		a.prefix += "/" // otherwise mimic/1.4 would list mimic/1.40, too
	}
	return a, nil
}

// url is the address of an object, for messages.
func (a address) url(path string) string { return "s3://" + a.bucket + "/" + a.prefix + path }

// accessPoint is the name of the access point, empty for a bucket.
func (a address) accessPoint() string {
	if m := accessPoint.FindStringSubmatch(a.bucket); m != nil {
		return m[1]
	}
	return ""
}
