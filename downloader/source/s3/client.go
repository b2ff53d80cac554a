package s3

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"mimicsync/downloader/source"
	"mimicsync/downloader/source/httpheader"
	"mimicsync/downloader/source/transport"
	"mimicsync/manifest"
)

// load reads the AWS configuration, and makes the client for all requests and the wallet
// that signs them. An unusable profile is for the wallet to report: public buckets need
// none.
func load(ctx context.Context, o Options) (cfg aws.Config, own *http.Client, w *wallet, err error) {
	cfg, err = read(ctx, o)
	if err != nil {
		var rest error
		if cfg, rest = withoutProfile(o); rest != nil {
			return cfg, nil, nil, fmt.Errorf("the AWS configuration can't be read: %w", rest)
		}
	}
	client, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		return cfg, nil, nil, fmt.Errorf("the AWS configuration makes an HTTP client of type %T", cfg.HTTPClient) // it has no way to
	}
	own = &http.Client{
		Transport: bounded{httpheader.NewGuard(client.GetTransport())},
		// A redirect would take signed headers to another host. In S3, it means that the
		// region is wrong.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	w = newWallet(func(ctx context.Context) (aws.CredentialsProvider, error) {
		fresh, err := read(ctx, o)
		if err != nil {
			return nil, &profileError{err}
		}
		if provider := quietly(fresh); provider != nil {
			return provider, nil
		}
		return fresh.Credentials, nil
	})
	cfg.HTTPClient, cfg.Credentials = own, w
	return cfg, own, w, nil
}

// read reads the environment and the files of the AWS configuration.
func read(ctx context.Context, o Options) (aws.Config, error) {
	return config.LoadDefaultConfig(ctx,
		config.WithHTTPClient(httpClient(o)),
		config.WithLogger(logging.Nop{}), // it would write to stderr
		config.WithAppID("mimicsync"),
		config.WithRetryer(func() aws.Retryer { return aws.NopRetryer{} }), // for the services that give credentials
	)
}

// httpClient has this type because AWS_CA_BUNDLE is an error with any other.
func httpClient(o Options) *awshttp.BuildableClient {
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { tune(t, o) })
}

// withoutProfile is the AWS configuration from the environment alone.
func withoutProfile(o Options) (aws.Config, error) {
	env, err := config.NewEnvConfig()
	if err != nil {
		return aws.Config{}, err
	}
	client := httpClient(o)
	if env.CustomCABundle != "" {
		bundle, err := os.ReadFile(env.CustomCABundle)
		if err != nil {
			return aws.Config{}, err
		}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(bundle) {
			return aws.Config{}, fmt.Errorf("%s contains no certificate", env.CustomCABundle)
		}
		client = client.WithTransportOptions(func(t *http.Transport) {
			t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
		})
	}
	return aws.Config{
		Region: env.Region, HTTPClient: client, Logger: logging.Nop{}, AppID: "mimicsync", ConfigSources: []any{env},
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	}, nil
}

// profileError means that the files of the AWS configuration are unusable.
type profileError struct{ err error }

// Error describes it without quoting the files, which may contain secrets.
func (e *profileError) Error() string {
	var none config.SharedConfigProfileNotExistError
	var file config.SharedConfigLoadError
	switch {
	case errors.As(e.err, &none):
		return fmt.Sprintf("the AWS profile %q, which AWS_PROFILE or another profile names, is in none of the configuration files", none.Profile)
	case errors.As(e.err, &file):
		return fmt.Sprintf("the AWS configuration file %s can't be read or has errors", file.Filename)
	}
	return "the AWS configuration or its profile can't be used"
}

func (e *profileError) Unwrap() error { return e.err }

func tune(t *http.Transport, o Options) {
	transport.Tune(t, transport.Options{DialContext: o.DialContext, Connections: o.Connections, Idle: 50 * time.Second})
}

// newPlace makes the client of a Location.
func newPlace(ctx context.Context, cfg aws.Config, w *wallet, o Options, l Location) (*place, error) {
	a, err := l.at(manifest.Ref{Dataset: "dataset", Version: "1.0"})
	if err != nil {
		return nil, err
	}
	p := &place{Location: l, wallet: w}
	p.client = sdk.NewFromConfig(cfg, func(so *sdk.Options) {
		so.Retryer = aws.NopRetryer{}
		so.ResponseChecksumValidation = aws.ResponseChecksumValidationWhenSupported
		so.UseARNRegion = true
		so.HTTPClient = cfg.HTTPClient
		switch {
		case l.Region != "":
			so.Region = l.Region
		case so.Region == "":
			so.Region = defaultRegion
		}
		if l.Anonymous {
			so.Credentials = aws.AnonymousCredentials{}
		}
		if o.Endpoint != "" {
			so.BaseEndpoint = &o.Endpoint
		}
		// Other stores seldom have a host name for each bucket. An access point always has
		// one.
		so.UsePathStyle = so.BaseEndpoint != nil && a.accessPoint() == ""
	})
	so := p.client.Options()
	p.identities = sts.NewFromConfig(cfg, func(o *sts.Options) { o.Retryer, o.Region = aws.NopRetryer{}, so.Region })
	p.amazon = so.BaseEndpoint == nil
	if err := checkEndpoint(so.BaseEndpoint, o.PlainHTTP); err != nil {
		return nil, err
	}
	// Check names and ARNs by the SDK's rules before a pass begins.
	_, err = so.EndpointResolverV2.ResolveEndpoint(ctx, sdk.EndpointParameters{
		Bucket: &a.bucket, Region: &so.Region, Endpoint: so.BaseEndpoint, ForcePathStyle: &so.UsePathStyle, UseArnRegion: &so.UseARNRegion,
	}.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("the location %q: %w", l.URL, err)
	}
	return p, nil
}

// checkEndpoint accepts https, and http to this machine or if the configuration allows it.
func checkEndpoint(endpoint *string, plain bool) error {
	if endpoint == nil {
		return nil
	}
	u, err := url.Parse(*endpoint)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("the endpoint of S3 is not a URL like https://minio.example.org:9000")
	}
	if u.User != nil || u.RawQuery != "" {
		return errors.New("the endpoint of S3 must not contain a user, password or query; put credentials into the AWS configuration")
	}
	if !plain && !source.MayCarrySecrets(u) {
		return fmt.Errorf("the endpoint of S3, %q, must begin with https://, unless the configuration allows http:// for it", *endpoint)
	}
	return nil
}

// bounded limits answers that the SDK would read into memory, and reads error answers to
// their end, so that their connections can be used again.
type bounded struct{ httpheader.Guard }

const (
	errorLimit = 64 << 10
	pageLimit  = 16 << 20 // 1,000 keys of 1,024 bytes, each three characters, and the XML around them
)

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.Guard.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	switch {
	case response.StatusCode >= 300:
		return refusing(response), nil
	case strings.Contains(r.URL.RawQuery, "list-type="):
		response.Body = limit(response.Body, pageLimit)
	}
	return response, nil
}

// regionHeader names the region of a bucket.
const regionHeader = "X-Amz-Bucket-Region"

// foreign marks the answer of a server between here and the store: a page, or a redirect
// without a code. No header from outside has a space in its name.
const foreign = "not the store's"

// refusing reads the body of an error. The region that it names, which the SDK drops,
// becomes a header, as in other answers.
func refusing(response *http.Response) *http.Response {
	text, _ := io.ReadAll(io.LimitReader(response.Body, errorLimit)) // half an error is an error, too
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(text))
	if isPage(response.Header.Get("Content-Type")) || source.IsPage(text) || len(text) == 0 && response.StatusCode/100 == 3 && response.StatusCode != http.StatusNotModified {
		response.Header[foreign] = []string{"yes"}
	}
	var said struct {
		Region string `xml:"Region"`
	}
	if response.Header.Get(regionHeader) == "" && xml.Unmarshal(text, &said) == nil && said.Region != "" {
		response.Header.Set(regionHeader, said.Region)
	}
	return response
}

func limit(body io.ReadCloser, n int64) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(body, n), body}
}
