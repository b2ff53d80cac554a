package downloader

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"mimicsync/manifest"
	"mimicsync/store"
)

// A person waits for the manifest: it is asked for a few times, and a host that
// is away is given a moment.
const (
	manifestTries  = 4
	manifestOutage = 10 * time.Second
)

// renewManifest asks the source whether the manifest in force is still the
// published one, and takes over a new one if that is whole. Then p.version is
// the one in force, and its manifest is in the version's folder.
func (p *pass) renewManifest(ctx context.Context) error {
	v, known, err := p.s.Store.Version(p.ref)
	if err != nil {
		return err
	}
	if known {
		p.version = v // for the history, should this fail
	}
	intact := known && p.s.Tree.manifestIntact(v.Manifest.Digest)
	request := Request{Ref: p.ref, Path: manifest.Name}
	if intact && v.Manifest.Source == p.s.Source.Name() {
		request.NoneMatch = v.Manifest.Validator
	}
	v.Ref = p.ref
	patience := newPatience(p.s.Budget)
	patience.tries = maxTransient - manifestTries
	patience.outage = manifestOutage
	err = patience.persist(ctx, func() (bool, error) {
		return false, p.fetchManifest(ctx, request, &v)
	}, func(err error, wait time.Duration) {
		p.progress.Retries.Add(1)
		p.s.Logger.WarnContext(ctx, "retry", "dataset", p.ref.String(), "object", manifest.Name, "wait", wait, "err", err)
	})
	switch {
	case errors.Is(err, ErrNotModified):
	case errors.Is(err, ErrNotExist):
		return fmt.Errorf("%w: %s has no %s for %s", ErrManifest, p.s.Source.Name(), manifest.Name, p.ref)
	case errors.Is(err, ErrManifest) && intact:
		return fmt.Errorf("%w; the manifest fetched on %s stays in force", err, v.Manifest.Fetched.Local().Format(time.DateOnly))
	case err != nil:
		return err
	}
	if v.Bytes == 0 {
		v.Bytes = p.publishedSize(ctx)
	}
	if p.version, err = p.s.Store.PutVersion(v); err != nil {
		return err
	}
	return p.inForce()
}

// inForce uses p.version's manifest.
func (p *pass) inForce() error {
	if p.selection.All() {
		p.published = p.version.Bytes
	}
	return p.s.Tree.showManifest(p.version.Manifest.Digest, p.ref)
}

// publishedSize asks for the size of the version. A pass goes on without it.
func (p *pass) publishedSize(ctx context.Context) int64 {
	publisher, ok := p.s.Source.(Publisher)
	if !ok {
		return 0
	}
	ctx, dog := watch(ctx, min(p.s.IdleTimeout, 15*time.Second))
	defer dog.end()
	n, err := publisher.PublishedSize(ctx, p.ref)
	if err != nil {
		p.s.Logger.WarnContext(ctx, "no published size", "dataset", p.ref.String(), "err", err)
		return 0
	}
	return n
}

// fetchManifest fetches the manifest into its place among the kept ones and
// checks it from end to end; v.Manifest is set only when it is whole.
func (p *pass) fetchManifest(ctx context.Context, request Request, v *store.Version) (err error) {
	if err := p.s.Budget.Acquire(ctx); err != nil {
		return err
	}
	defer func() { p.s.release(err) }()
	ctx, dog := watch(ctx, p.s.IdleTimeout)
	defer dog.end()
	object, err := p.s.Source.Open(ctx, request)
	if errors.Is(err, ErrWebPage) {
		return fmt.Errorf("%w: %w", ErrManifest, err)
	}
	if err != nil {
		return err
	}
	defer func() { _ = object.Body.Close() }() // judged by length
	return p.takeManifest(ctx, &heardReader{object.Body, dog}, v, object)
}

// takeManifest copies a manifest into its place among the kept ones, unless it
// is not whole.
func (p *pass) takeManifest(ctx context.Context, body io.Reader, v *store.Version, object *Object) error {
	f, err := os.CreateTemp(p.s.Tree.dir(manifestDir), "new.*")
	if err != nil {
		return err
	}
	defer func() {
		_ = f.Close()
		_ = os.Remove(f.Name()) // gone already when it was taken over
	}()
	sum := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, sum), body)
	if err != nil {
		return fmt.Errorf("read the manifest: %w", err)
	}
	if object.Size >= 0 && size != object.Size {
		return &SizeError{Want: object.Size, Got: size}
	}
	m := store.Manifest{
		Size: size, Source: p.s.Source.Name(), Validator: object.Validator, Modified: object.Modified, Fetched: time.Now(),
	}
	sum.Sum(m.Digest[:0])
	if err := p.checkManifest(ctx, f, &m); err != nil {
		return err
	}
	if err := p.s.Tree.keepManifest(f, m.Digest); err != nil {
		return err
	}
	if v.Manifest.Digest != m.Digest {
		v.Bytes = 0 // was that of the former one
	}
	v.Manifest = m
	return nil
}

// checkManifest reads a manifest from end to end.
func (p *pass) checkManifest(ctx context.Context, f *os.File, m *store.Manifest) error {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r := manifest.NewReader(f)
	for {
		_, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrManifest, err)
		}
		m.Entries++
	}
	if r.Unterminated() {
		p.s.Logger.WarnContext(ctx, "the manifest's last line has no newline", "dataset", p.ref.String())
	}
	var err error
	m.Conflicts, err = manifest.Collisions(f, m.Size)
	return err
}

// heardReader tells the watchdog of every read.
type heardReader struct {
	r   io.Reader
	dog *watchdog
}

func (h *heardReader) Read(b []byte) (int, error) {
	n, err := h.r.Read(b)
	h.dog.heard()
	return n, err
}

// Resolve replaces "latest" by the newest version, which it asks the source for.
func (s *Syncer) Resolve(ctx context.Context, ref manifest.Ref) (manifest.Ref, error) {
	publisher, ok := s.Source.(Publisher)
	if ref.Version != "" {
		return ref, nil
	}
	if !ok {
		return ref, fmt.Errorf("%s cannot say which version of %s is the newest; name one, as in %s@1.0", s.Source.Name(), ref.Dataset, ref.Dataset)
	}
	patience := newPatience(s.Budget)
	patience.tries = maxTransient - manifestTries
	patience.outage = manifestOutage
	err := patience.persist(ctx, func() (_ bool, err error) {
		if err := s.Budget.Acquire(ctx); err != nil {
			return false, err
		}
		defer func() { s.release(err) }()
		watched, dog := watch(ctx, s.IdleTimeout)
		defer dog.end()
		ref.Version, err = publisher.Latest(watched, ref.Dataset)
		return false, err
	}, func(err error, wait time.Duration) {
		s.Logger.WarnContext(ctx, "retry", "dataset", ref.Dataset, "wait", wait, "err", err)
	})
	return ref, err
}
