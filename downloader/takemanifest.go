package downloader

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"time"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/host"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
	"mimicsync/store"
)

// Limits on a manifest, whoever sends it. The largest known one has 1.6 million entries and
// 200 MB; a larger one would be endless, or an attempt to keep a pass waiting.
const (
	mostEntries      = 20_000_000
	mostManifest     = 4 << 30 // bytes
	leastManifest    = 64      // bytes per second, on average
	slowManifestTime = 2 * time.Minute
)

// takeManifest copies a manifest into its place among the kept ones. It is parsed as it
// arrives, and given up at the first invalid line.
func (p *pass) takeManifest(ctx context.Context, body io.Reader, v *store.Version, source string, object *source.Object) error {
	f, drop, err := p.s.Tree.NewManifest()
	if err != nil {
		return err
	}
	defer drop()
	m := store.Manifest{Source: source, Validator: object.Validator, Modified: object.Modified, Fetched: time.Now()}
	sum := sha256.New()
	bounds := manifestBounds{entries: mostEntries, bytes: mostManifest, announced: object.Size}
	if err := p.readManifest(ctx, io.TeeReader(body, io.MultiWriter(f, sum)), f, bounds, &m); err != nil {
		return err
	}
	sum.Sum(m.Digest[:0])
	if m.Conflicts, err = manifest.Collisions(f, m.Size); err != nil {
		return err
	}
	if was := v.Manifest.Entries; 10*m.Entries < leastKept*was && !p.acceptManifest {
		return &failure.ShrunkError{Ref: p.ref, Was: was, Is: m.Entries}
	}
	if err := p.s.Tree.KeepManifest(f, m.Digest); err != nil {
		return err
	}
	if v.Manifest.Digest == m.Digest {
		m.Confirmed = m.Fetched
	} else {
		v.Bytes = 0 // that was the size of the previous one
	}
	v.Manifest = m
	return nil
}

// manifestBounds are the limits of a manifest, and the size that its source states, -1 if
// unknown.
type manifestBounds struct{ entries, bytes, announced int64 }

// readManifest parses a manifest from end to end, and counts. f receives what it read.
func (p *pass) readManifest(ctx context.Context, body io.Reader, f io.Seeker, b manifestBounds, m *store.Manifest) error {
	r := manifest.NewReader(&boundedReader{body, b.bytes})
	var err error
	for {
		if _, err = r.Next(); err != nil {
			break
		}
		if m.Entries++; m.Entries > b.entries {
			return fmt.Errorf("%w behind %d entries", failure.ErrLongManifest, b.entries)
		}
	}
	size, serr := f.Seek(0, io.SeekCurrent)
	if serr != nil {
		return serr
	}
	m.Size = size
	whole := errors.Is(err, io.EOF)
	switch over := whole || errors.Is(err, manifest.ErrTorn) || errors.Is(err, manifest.ErrEmpty); {
	case over && b.announced >= 0 && size != b.announced:
		return &failure.SizeError{Want: b.announced, Got: size}
	case !whole && r.Unusable():
		return fmt.Errorf("%w: %w", failure.ErrManifest, err)
	case !whole:
		return fmt.Errorf("read the manifest: %w", err)
	}
	if r.Unterminated() {
		p.s.Logger.WarnContext(ctx, "the manifest's last line has no newline", "dataset", p.ref.String())
	}
	if r.NamesItself() {
		p.s.Logger.WarnContext(ctx, "the manifest lists itself, which is left out", "dataset", p.ref.String())
	}
	return nil
}

// boundedReader reads at most left bytes.
type boundedReader struct {
	r    io.Reader
	left int64
}

// Read returns errLongManifest if there is more.
func (b *boundedReader) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, failure.ErrLongManifest
	}
	n, err := b.r.Read(p)
	b.left -= int64(n)
	return n, err
}

// heardReader tells the watchdog of every read, and counts.
type heardReader struct {
	r     io.Reader
	dog   *host.Watchdog
	n     int64     // bytes read
	begun time.Time // zero: no least rate
}

// Read returns ErrStalled if the data comes too slowly to ever end.
func (h *heardReader) Read(b []byte) (int, error) {
	n, err := h.r.Read(b)
	h.n += int64(n)
	h.dog.Heard()
	if took := time.Since(h.begun); err == nil && !h.begun.IsZero() && took > slowManifestTime && float64(h.n) < leastManifest*took.Seconds() {
		err = fmt.Errorf("%w, but for %d bytes in %s", failure.ErrStalled, h.n, took.Round(time.Second))
	}
	return n, err
}
