package configs

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"mimicsync/downloader/cost"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// SourceNames are the names of all sources.
var SourceNames = []string{"physionet", "gcs", "s3"}

// CheckSources checks a list of sources.
func CheckSources(names []string) error {
	for i, name := range names {
		switch {
		case !slices.Contains(SourceNames, name):
			return fmt.Errorf("unknown source %q; the sources are %s", name, strings.Join(SourceNames, ", "))
		case slices.Contains(names[:i], name):
			return fmt.Errorf("%s is named twice", name)
		}
	}
	return nil
}

// PhysioNet configures the source physionet.
type PhysioNet struct {
	URL         string `yaml:"url"`
	Connections int    `yaml:"connections"` // most connections, 1 to 256
}

// GCS configures PhysioNet's copies at Google Cloud Storage.
type GCS struct {
	Endpoint       string            `yaml:"endpoint"`        // another server with the same protocol
	BillingProject string            `yaml:"billing_project"` // the Google Cloud project that pays
	Anonymous      bool              `yaml:"anonymous"`       // send no credentials
	Buckets        map[string]string `yaml:"buckets"`         // by dataset or dataset@version, if they have other names
	Connections    int               `yaml:"connections"`     // most connections, 1 to 256
	Price          `yaml:",inline"`  // for reading with a billing project
}

// S3 configures copies at Amazon S3, or at a store with the same protocol.
type S3 struct {
	Endpoint    string              `yaml:"endpoint"`    // another store
	PlainHTTP   bool                `yaml:"plain_http"`  // allow it without TLS
	Locations   map[string]Location `yaml:"locations"`   // by dataset or dataset@version; "*" is for all others
	Connections int                 `yaml:"connections"` // ceiling, 1 to 256
	Price       `yaml:",inline"`    // for locations with requester_pays
}

// Price is what a store charges readers, in US dollars, see cost.ParseMoney.
type Price struct {
	PerGB            string `yaml:"price_per_gb"`
	Per10000Requests string `yaml:"price_per_10000_requests"`
}

// The prices that Google and Amazon publish for traffic to the internet, for the first
// terabytes of a month.
var (
	DefaultGCSPrice = Price{PerGB: "0.12", Per10000Requests: "0.004"}
	DefaultS3Price  = Price{PerGB: "0.09", Per10000Requests: "0.004"}
)

// Parse reads the amounts; defaults replaces those not set.
func (p Price) Parse(defaults Price) (cost.Price, error) {
	perGB, err := cost.ParseMoney(cmp.Or(p.PerGB, defaults.PerGB))
	if err != nil {
		return cost.Price{}, fmt.Errorf("price_per_gb: %w", err)
	}
	perRequests, err := cost.ParseMoney(cmp.Or(p.Per10000Requests, defaults.Per10000Requests))
	if err != nil {
		return cost.Price{}, fmt.Errorf("price_per_10000_requests: %w", err)
	}
	return cost.Price{PerGB: perGB, Per10000Requests: perRequests}, nil
}

// Location is where a dataset is at S3.
type Location struct {
	URL           string `yaml:"url"` // s3://BUCKET/PREFIX/, where {dataset} and {version} are replaced by the names
	Region        string `yaml:"region"`
	Anonymous     bool   `yaml:"anonymous"`      // send no credentials
	RequesterPays bool   `yaml:"requester_pays"` // agree to pay
}

// AllOthers is the key of the Location for every dataset without its own.
const AllOthers = "*"

func (c Config) validateSources(p *problems) {
	if err := CheckSources(c.Sources); err != nil {
		p.at("sources", "%w", err)
	}
	for field, n := range map[string]int{
		"physionet": c.PhysioNet.Connections, "gcs": c.GCS.Connections, "s3": c.S3.Connections,
	} {
		if n < 0 || n > 256 {
			p.at(field+".connections", "%d: it must be from 1 to 256", n)
		}
	}
	for field, address := range map[string]string{
		"physionet.url": c.PhysioNet.URL, "gcs.endpoint": c.GCS.Endpoint, "s3.endpoint": c.S3.Endpoint,
	} {
		switch u, err := url.Parse(address); {
		case address == "":
		case err != nil || u.Host == "" || u.User != nil:
			p.at(field, "it must be an address like https://physionet.org, without user and password")
		case field != "s3.endpoint" && !source.MayCarrySecrets(u): // S3 sends only signatures, and another setting allows http
			p.at(field, "it must begin with https:// (http:// works only to this machine)")
		}
	}
	for field, amount := range map[string]string{
		"gcs.price_per_gb": c.GCS.PerGB, "gcs.price_per_10000_requests": c.GCS.Per10000Requests,
		"s3.price_per_gb": c.S3.PerGB, "s3.price_per_10000_requests": c.S3.Per10000Requests,
	} {
		if _, err := cost.ParseMoney(cmp.Or(amount, "0")); err != nil {
			p.at(field, "%w", err)
		}
	}
	for key, bucket := range c.GCS.Buckets {
		if _, err := manifest.ParseRef(key); err != nil {
			p.at("gcs.buckets."+key, "%w", err)
		}
		if bucket == "" || strings.ContainsAny(bucket, "/ ") {
			p.at("gcs.buckets."+key, "%q is not the name of a bucket; leave out gs:// and the path", bucket)
		}
	}
	for key, location := range c.S3.Locations {
		if _, err := manifest.ParseRef(key); err != nil && key != AllOthers {
			p.at("s3.locations."+key, "%w", err)
		}
		if !strings.HasPrefix(location.URL, "s3://") || strings.Contains(location.URL, "@") {
			p.at("s3.locations."+key, "its url must be like s3://BUCKET/{dataset}/{version}/, without credentials")
		}
	}
}
