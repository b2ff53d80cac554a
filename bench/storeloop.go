//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"

	"cloud.google.com/go/storage"
	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/s3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/api/option"

	"mimicsync/downloader/source/gcs"
	"mimicsync/downloader/source/s3"
	"mimicsync/manifest"
)

// getter asks a client library for an object. The caller closes the body, of size bytes.
type getter func(ctx context.Context, path string) (body io.ReadCloser, size int64, err error)

// storeLoop runs the bare loop over the store's own client library, and prints its outcome. The library is set up for speed
// alone: one transport of HTTP/1.1 that keeps a connection for each worker, no login, no retry, no metrics.
func storeLoop(ctx context.Context, args []string) (err error) {
	flags := flag.NewFlagSet("store", flag.ContinueOnError)
	store := flags.String("store", gcs.Name, "gcs or s3")
	endpoint := flags.String("url", "", "of the store")
	bucket := flags.String("bucket", "", "where the version is")
	prefix := flags.String("prefix", "", "of its keys")
	dir := flags.String("dir", "", "where the files go")
	connections := flags.Int("connections", 16, "workers")
	sync := flags.Bool("sync", false, "make all durable at the end")
	if err := flags.Parse(args); err != nil {
		return err
	}
	stop, err := startProfile()
	if err != nil {
		return err
	}
	defer stop()
	var http1 http.Protocols
	http1.SetHTTP1(true)
	transport := &http.Transport{
		Protocols: &http1, MaxIdleConnsPerHost: *connections, MaxConnsPerHost: *connections, DisableCompression: true, ReadBufferSize: 64 << 10,
	}
	defer transport.CloseIdleConnections()
	var get getter
	switch client := (&http.Client{Transport: transport}); *store {
	case gcs.Name:
		get, err = gcsGetter(ctx, client, *endpoint, *bucket)
	case s3.Name:
		get = s3Getter(client, *endpoint, *bucket, *prefix)
	default:
		err = fmt.Errorf("there is no store %q", *store)
	}
	if err != nil {
		return err
	}
	return (&loop{dir: *dir}).runOver(ctx, get, *connections, *sync)
}

// runOver is the loop with another way to get files. With sync, it makes them durable at its end.
func (l *loop) runOver(ctx context.Context, get getter, workers int, sync bool) error {
	body, _, err := get(ctx, manifest.Name)
	if err != nil {
		return err
	}
	if err := errors.Join(l.readManifest(body), body.Close()); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	for range workers {
		group.Go(func() error {
			return l.each(func(path string, buf []byte, sum hash.Hash) (int64, error) {
				body, size, err := get(ctx, path)
				if err != nil {
					return 0, err
				}
				defer func() { _ = body.Close() }() // read to its end
				return size, l.keep(body, size, path, buf, sum)
			})
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	if sync {
		if err := l.sync(); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(&l.result)
}

func gcsGetter(ctx context.Context, client *http.Client, endpoint, bucket string) (getter, error) {
	c, err := storage.NewClient(ctx, option.WithHTTPClient(client), option.WithoutAuthentication(), option.WithEndpoint(endpoint+"/storage/v1/"),
		storage.WithXMLReads(), storage.WithDisabledClientMetrics())
	if err != nil {
		return nil, err
	}
	c.SetRetry(storage.WithPolicy(storage.RetryNever))
	from := c.Bucket(bucket)
	return func(ctx context.Context, path string) (io.ReadCloser, int64, error) {
		r, err := from.Object(path).ReadCompressed(true).NewReader(ctx)
		if err != nil {
			return nil, 0, err
		}
		return r, r.Attrs.Size, nil
	}, nil
}

func s3Getter(client *http.Client, endpoint, bucket, prefix string) getter {
	c := sdk.New(sdk.Options{
		BaseEndpoint: &endpoint, Region: "us-east-1", UsePathStyle: true, HTTPClient: client, Credentials: aws.AnonymousCredentials{}, Retryer: aws.NopRetryer{},
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
	return func(ctx context.Context, path string) (io.ReadCloser, int64, error) {
		o, err := c.GetObject(ctx, &sdk.GetObjectInput{Bucket: &bucket, Key: aws.String(prefix + path)})
		if err != nil {
			return nil, 0, err
		}
		return o.Body, aws.ToInt64(o.ContentLength), nil
	}
}
