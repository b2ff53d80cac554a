//go:build linux

package main

import (
	"context"
	"crypto/md5" //nolint:gosec // what GCS calls an object's hash
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fsouza/fake-gcs-server/fakestorage"
	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"golang.org/x/sys/unix"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/source/gcs"
)

// emulatedStore is a store's emulator that others wrote, with a corpus and its manifest, for everybody to read. What PhysioNet
// would be asked is in no bucket of it, and answered with 404.
func emulatedStore(ctx context.Context, store string, c corpus, root, url string) (g generated, err error) {
	p, err := publish(ctx, root, c)
	if err != nil {
		return g, err
	}
	g = generated{files: p.files, bytes: p.bytes}
	if g.sums, err = os.ReadFile(p.manifest); err != nil {
		return g, err
	}
	var m meter
	bucket, prefix := bucketOf(store, c.ref())
	if store == gcs.Name {
		m.Handler, err = fakeGCS(ctx, p.dir, filepath.Join(root, "gcs"), bucket, url)
	} else {
		m.Handler, err = goFakeS3(ctx, p.dir, bucket, prefix)
	}
	g.Handler, g.host = &m, &m
	return g, err
}

// fakeGCS is fake-gcs-server over a folder, below which buckets are folders and objects files. It syncs and replaces two files for
// each object that it is sent, so they are put there before.
func fakeGCS(ctx context.Context, from, root, bucket, url string) (http.Handler, error) {
	put := func(name string, buf []byte) error {
		return linkObject(filepath.Join(from, name), filepath.Join(root, bucket, name), buf)
	}
	if err := forEach(ctx, os.DirFS(from), put); err != nil {
		return nil, err
	}
	// Its public host is where it answers the XML API, its external URL what its answers link to.
	server, err := fakestorage.NewServerWithOptions(fakestorage.Options{
		StorageRoot: root, NoListener: true, PublicHost: strings.TrimPrefix(url, "https://"), ExternalURL: url,
	})
	if err != nil {
		return nil, err
	}
	return server.HTTPHandler(), nil
}

// objectAttrs is what fake-gcs-server knows of an object, as JSON in an extended attribute of the file: one without it does not
// exist, and no list has what is in its bucket.
type objectAttrs struct {
	StorageClass, ContentType, Crc32c, Md5Hash, Etag, Created, Updated string

	Generation int64
}

// linkObject makes a file an object, without a copy of its bytes.
func linkObject(file, object string, buf []byte) error {
	if err := os.MkdirAll(filepath.Dir(object), 0o700); err != nil {
		return err
	}
	if err := os.Link(file, object); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f, err := os.Open(object)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // opened for reading only
	about, err := f.Stat()
	if err != nil {
		return err
	}
	md5sum, crc := md5.New(), crc32.New(crc32.MakeTable(crc32.Castagnoli)) //nolint:gosec // as above
	if _, err := io.CopyBuffer(io.MultiWriter(md5sum, crc), struct{ io.Reader }{f}, buf); err != nil {
		return err
	}
	encoded, modified := base64.StdEncoding.EncodeToString, about.ModTime().UTC()
	attrs, err := json.Marshal(objectAttrs{
		StorageClass: "STANDARD", ContentType: "application/octet-stream", Crc32c: encoded(crc.Sum(nil)), Md5Hash: encoded(md5sum.Sum(nil)),
		Etag: encoded(md5sum.Sum(nil)), Created: modified.Format(time.RFC3339), Updated: modified.Format(time.RFC3339), Generation: modified.UnixMicro(),
	})
	if err != nil {
		return err
	}
	if err := unix.Fsetxattr(int(f.Fd()), "user.metadata", attrs, 0); err != nil {
		return fmt.Errorf("fake-gcs-server keeps what it knows of objects in extended attributes: %s: %w", object, err)
	}
	return nil
}

// goFakeS3 is gofakes3 with the objects in its memory.
func goFakeS3(ctx context.Context, from, bucket, prefix string) (http.Handler, error) {
	backend := s3mem.New()
	if err := backend.CreateBucket(bucket); err != nil {
		return nil, err
	}
	put := func(name string, _ []byte) error {
		f, err := os.Open(filepath.Join(from, name))
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // opened for reading only
		about, err := f.Stat()
		if err != nil {
			return err
		}
		meta := map[string]string{"Last-Modified": about.ModTime().UTC().Format(http.TimeFormat)} // as an upload leaves it
		_, err = backend.PutObject(bucket, prefix+name, meta, f, about.Size(), nil)
		return err
	}
	return gofakes3.New(backend).Server(), forEach(ctx, os.DirFS(from), put)
}

// meter counts what a server of others has served.
type meter struct {
	http.Handler

	requests, bytes, connections atomic.Int64
}

// Attach implements counter.
func (m *meter) Attach(hs *http.Server) {
	hs.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			m.connections.Add(1)
		}
	}
}

// Counters implements counter.
func (m *meter) Counters() lookalike.Counters {
	return lookalike.Counters{Requests: m.requests.Load(), BytesSent: m.bytes.Load(), Conns: m.connections.Load()}
}

func (m *meter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m.requests.Add(1)
	m.Handler.ServeHTTP(&metered{w, m}, r)
}

// metered is an answer whose bytes are counted before they are sent: who has got them finds them counted.
type metered struct {
	http.ResponseWriter
	meter *meter
}

func (w *metered) Write(p []byte) (int, error) {
	w.meter.bytes.Add(int64(len(p)))
	return w.ResponseWriter.Write(p)
}

var copyBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}

// ReadFrom copies as net/http does where it has TLS to write to, so that counting costs the server nothing.
func (w *metered) ReadFrom(src io.Reader) (int64, error) {
	buf := copyBuffers.Get().(*[32 << 10]byte) // the pool makes no other
	defer copyBuffers.Put(buf)
	return io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{src}, buf[:])
}
