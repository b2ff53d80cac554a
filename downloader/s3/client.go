package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/logging"

	"mimicsync/downloader"
	"mimicsync/manifest"
)

// load reads the AWS configuration, and makes the client that all requests go by.
func load(ctx context.Context, o Options) (cfg aws.Config, own *http.Client, err error) {
	cfg, err = config.LoadDefaultConfig(ctx,
		// This type, because AWS_CA_BUNDLE is an error with any other.
		config.WithHTTPClient(awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { tune(t, o) })),
		config.WithLogger(logging.Nop{}), // it would write to stderr
		config.WithAppID("mimicsync"),
	)
	if err != nil {
		return cfg, nil, fmt.Errorf("the AWS configuration cannot be read: %w", err)
	}
	client, ok := cfg.HTTPClient.(*awshttp.BuildableClient)
	if !ok {
		return cfg, nil, fmt.Errorf("the AWS configuration makes an HTTP client of type %T", cfg.HTTPClient) // it has no means to
	}
	own = &http.Client{
		Transport: bounded{client.GetTransport()},
		// A redirect would take signed headers to another host. What S3 means
		// by one is that the region is wrong.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	cfg.HTTPClient = own
	if cfg.Credentials != nil { // none are configured to be asked for
		cfg.Credentials = witness{cfg.Credentials}
	}
	return cfg, own, nil
}

func tune(t *http.Transport, o Options) {
	var http1 http.Protocols
	http1.SetHTTP1(true)
	t.Protocols = &http1
	t.ForceAttemptHTTP2 = false
	t.DisableCompression = true // a .csv.gz must arrive as it is
	t.MaxIdleConns = 0          // the budget is per host
	t.MaxIdleConnsPerHost = max(o.Connections, 2)
	t.MaxConnsPerHost = max(o.Connections, 2) // else a request dials while the last one's connection goes back to the pool
	t.IdleConnTimeout = 50 * time.Second
	t.TLSHandshakeTimeout = 15 * time.Second
	t.ReadBufferSize = 64 << 10
	t.DialContext = o.DialContext
	if t.DialContext == nil {
		t.DialContext = (&net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
}

// newPlace makes the client of a Location.
func newPlace(ctx context.Context, cfg aws.Config, o Options, l Location) (*place, error) {
	a, err := l.at(manifest.Ref{Dataset: "dataset", Version: "1.0"})
	if err != nil {
		return nil, err
	}
	p := &place{Location: l}
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
		// Other stores seldom have a name for each bucket. An access point is
		// always a host name.
		so.UsePathStyle = so.BaseEndpoint != nil && a.accessPoint() == ""
	})
	so := p.client.Options()
	p.identities = sts.NewFromConfig(cfg, func(o *sts.Options) { o.Retryer, o.Region = aws.NopRetryer{}, so.Region })
	p.amazon = so.BaseEndpoint == nil
	if err := checkEndpoint(so.BaseEndpoint, o.PlainHTTP); err != nil {
		return nil, err
	}
	// The SDK's rules for names and ARNs, before a pass begins.
	_, err = so.EndpointResolverV2.ResolveEndpoint(ctx, sdk.EndpointParameters{
		Bucket: &a.bucket, Region: &so.Region, Endpoint: so.BaseEndpoint, ForcePathStyle: &so.UsePathStyle, UseArnRegion: &so.UseARNRegion,
	}.WithDefaults())
	if err != nil {
		return nil, fmt.Errorf("the location %q: %w", l.URL, err)
	}
	return p, nil
}

// checkEndpoint accepts https, and http where nobody can listen or where it is
// allowed.
func checkEndpoint(endpoint *string, plain bool) error {
	if endpoint == nil {
		return nil
	}
	u, err := url.Parse(*endpoint)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return errors.New("the endpoint of S3 is not a URL like https://minio.example.org:9000")
	}
	if u.User != nil || u.RawQuery != "" {
		return errors.New("the endpoint of S3 must not contain a user, password or query; the AWS configuration has places for credentials")
	}
	if !plain && !downloader.MayCarrySecrets(u) {
		return fmt.Errorf("the endpoint of S3, %q, must begin with https://, or http:// must be allowed for it", *endpoint)
	}
	return nil
}

// bounded ends answers that the SDK would read into memory without limit.
type bounded struct{ *http.Transport }

const (
	errorLimit = 64 << 10
	pageLimit  = 16 << 20 // 1,000 keys of 1,024 bytes, each three characters, and what is around them
)

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.Transport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	switch {
	case response.StatusCode >= 300:
		response.Body = limit(response.Body, errorLimit)
	case strings.Contains(r.URL.RawQuery, "list-type="):
		response.Body = limit(response.Body, pageLimit)
	}
	return response, nil
}

func limit(body io.ReadCloser, n int64) io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.LimitReader(body, n), body}
}

// witness tells trouble with finding credentials from trouble with the store.
type witness struct{ aws.CredentialsProvider }

// Retrieve implements aws.CredentialsProvider.
func (w witness) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := w.CredentialsProvider.Retrieve(ctx)
	if err != nil && ctx.Err() == nil {
		err = &credentialsError{err}
	}
	return c, err
}

// credentialsError means that there are no credentials to be had.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }

func (e *credentialsError) Unwrap() error { return e.err }
