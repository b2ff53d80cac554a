package downloader

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"slices"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// wholeReference is the size up to which an entry is fetched whole, to see
// whether the host is well: then its digest tells, too.
const wholeReference = 1 << 20

// keptReferences is how many of a version are kept: authors take files out of one, and
// what is gone says nothing of the host.
const keptReferences = 3

// reference is an entry that came.
type reference struct {
	source string
	ref    manifest.Ref
	entry  manifest.Entry
	size   int64
}

// present notes an entry that the mirror has, as one that a source must have which
// gave the manifest.
func (h *health) present(source string, ref manifest.Ref, e manifest.Entry, size int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keep(reference{source, ref, e, size}, func(was reference) bool {
		return was.source == source && was.size > wholeReference && size < was.size
	})
}

// keep adds a reference to those of its version, or puts it in the place of one that it
// is better than. The caller holds mu.
func (h *health) keep(r reference, better func(than reference) bool) {
	if h.came == nil {
		h.came = map[manifest.Ref][]reference{}
	}
	all := h.came[r.ref]
	at := slices.IndexFunc(all, func(was reference) bool { return was.source == r.source && was.entry.Path == r.entry.Path })
	if at < 0 && len(all) >= keptReferences {
		if at = slices.IndexFunc(all, better); at < 0 {
			return
		}
	}
	if at < 0 {
		h.came[r.ref] = append(all, r)
		return
	}
	all[at] = r
}

// gone forgets a reference that the source has not any more, and reports whether it did:
// the last one stays, for then it may as well be the source that is in trouble.
func (h *health) gone(r reference) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.came[r.ref]
	if at := slices.Index(all, r); at >= 0 && len(all) > 1 {
		h.came[r.ref] = slices.Delete(all, at, at+1)
		return true
	}
	return false
}

// forget forgets what came: it came to another account.
func (h *health) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.came)
	clear(h.listed)
}

// list notes that a source gave the manifest of a version, or said that it is still
// the same: it knows the account.
func (h *health) list(source string, ref manifest.Ref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listed == nil {
		h.listed = map[manifest.Ref]string{}
	}
	h.listed[ref] = source
}

// letIn reports whether a source gave anything of a version, be it the manifest:
// then a refusal may be a hiccup.
func (h *health) letIn(source string, ref manifest.Ref) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.letsIn(source, ref)
}

// letsIn is letIn for a caller who holds mu.
func (h *health) letsIn(source string, ref manifest.Ref) bool {
	_, came := h.find(source, ref)
	return came || h.listed[ref] == source
}

// renewed notes that a version has another manifest: what came by the one before is
// no measure any more, and what was wrong or not there may have been so by that one
// alone.
func (h *health) renewed(ref manifest.Ref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.came, ref)
	h.cleared, h.believed = 0, false
	if h.wrong >= manyFailures || errors.Is(h.trouble, source.ErrNotExist) {
		h.recover()
	}
}

// served returns what came from a source before: of this version or, as the same
// people may read it, of another one of its dataset.
func (h *health) served(source string, ref manifest.Ref) (reference, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.find(source, ref)
}

// find is served for a caller who holds mu.
func (h *health) find(source string, ref manifest.Ref) (reference, bool) {
	if r, ok := h.smallest(func(r reference) bool { return r.source == source && r.ref == ref }); ok {
		return r, true
	}
	return h.smallest(func(r reference) bool { return r.source == source && r.ref.Dataset == ref.Dataset })
}

// smallest returns the reference that costs least. The caller holds mu.
func (h *health) smallest(of func(reference) bool) (least reference, ok bool) {
	for _, all := range h.came {
		for _, r := range all {
			if of(r) && (!ok || r.size < least.size) {
				least, ok = r, true
			}
		}
	}
	return least, ok
}

// touchstone returns what to ask a source for, to see whether the host is well: what
// came before of this dataset or, unless it is about who may read what, of any.
func (h *health) touchstone(source string, ref manifest.Ref) (reference, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.compare(source, ref, h.trouble)
}

// compare is touchstone for one kind of trouble, and a caller who holds mu.
func (h *health) compare(src string, ref manifest.Ref, trouble error) (reference, bool) {
	r, ok := h.find(src, ref)
	if _, access := errors.AsType[*source.AccessError](trouble); ok || access {
		return r, ok
	}
	return h.smallest(func(r reference) bool { return r.source == src })
}

// askForWhatCame asks a source for an entry that it gave before, or that the mirror
// has from it, and for another one if that is gone. known is false if there is none.
func (p *pass) askForWhatCame(ctx context.Context, c *candidate) (known bool, err error) {
	h := c.health
	for {
		came, ok := h.touchstone(c.Name(), p.ref)
		if !ok {
			return false, nil
		}
		if err = p.askFor(ctx, c, came); !errors.Is(err, source.ErrNotExist) || !h.gone(came) {
			return true, err
		}
	}
}

func (p *pass) askFor(ctx context.Context, c *candidate, came reference) error {
	ctx, dog := watch(ctx, p.s.IdleTimeout)
	defer dog.end()
	request := source.Request{Ref: came.ref, Path: came.entry.Path}
	if came.size > wholeReference {
		request.Length = 1
	}
	object, err := p.open(ctx, c, request, 0)
	p.s.answered(c.Name(), err)
	if err != nil {
		return err
	}
	defer func() { _ = object.Body.Close() }() // judged by its digest
	dog.heard()
	if came.size > wholeReference {
		_, err = io.ReadFull(object.Body, make([]byte, 1))
		return err
	}
	sum := sha256.New()
	n, err := io.Copy(sum, &heardReader{r: io.LimitReader(object.Body, wholeReference+1), dog: dog})
	if got := manifest.Digest(sum.Sum(nil)); err == nil && got != came.entry.Digest {
		err = &failure.MismatchError{Path: came.entry.Path, Want: came.entry.Digest, Got: got, Size: n}
	}
	return err
}
