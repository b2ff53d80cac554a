package retry

import (
	"errors"
	"slices"

	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// WholeReference is the size up to which an entry is fetched whole, to see
// whether the host is well: then its digest tells, too.
const WholeReference = 1 << 20

// keptReferences is how many of a version are kept: authors take files out of one, and
// what is gone says nothing of the host.
const keptReferences = 3

// Reference is an entry that came.
type Reference struct {
	source string
	Ref    manifest.Ref
	Entry  manifest.Entry
	Size   int64
}

// Present notes an entry that the mirror has, as one that a source must have which
// gave the manifest.
func (h *Health) Present(source string, ref manifest.Ref, e manifest.Entry, size int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.keep(Reference{source, ref, e, size}, func(was Reference) bool {
		return was.source == source && was.Size > WholeReference && size < was.Size
	})
}

// keep adds a reference to those of its version, or puts it in the place of one that it
// is better than. The caller holds mu.
func (h *Health) keep(r Reference, better func(than Reference) bool) {
	if h.came == nil {
		h.came = map[manifest.Ref][]Reference{}
	}
	all := h.came[r.Ref]
	at := slices.IndexFunc(all, func(was Reference) bool { return was.source == r.source && was.Entry.Path == r.Entry.Path })
	if at < 0 && len(all) >= keptReferences {
		if at = slices.IndexFunc(all, better); at < 0 {
			return
		}
	}
	if at < 0 {
		h.came[r.Ref] = append(all, r)
		return
	}
	all[at] = r
}

// Gone forgets a reference that the source has not any more, and reports whether it did:
// the last one stays, for then it may as well be the source that is in trouble.
func (h *Health) Gone(r Reference) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := h.came[r.Ref]
	if at := slices.Index(all, r); at >= 0 && len(all) > 1 {
		h.came[r.Ref] = slices.Delete(all, at, at+1)
		return true
	}
	return false
}

// Forget forgets what came: it came to another account.
func (h *Health) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.came)
	clear(h.listed)
}

// List notes that a source gave the manifest of a version, or said that it is still
// the same: it knows the account.
func (h *Health) List(source string, ref manifest.Ref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listed == nil {
		h.listed = map[manifest.Ref]string{}
	}
	h.listed[ref] = source
}

// LetIn reports whether a source gave anything of a version, be it the manifest:
// then a refusal may be a hiccup.
func (h *Health) LetIn(source string, ref manifest.Ref) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.letsIn(source, ref)
}

// letsIn is letIn for a caller who holds mu.
func (h *Health) letsIn(source string, ref manifest.Ref) bool {
	_, came := h.find(source, ref)
	return came || h.listed[ref] == source
}

// Renewed notes that a version has another manifest: what came by the one before is
// no measure any more, and what was wrong or not there may have been so by that one
// alone.
func (h *Health) Renewed(ref manifest.Ref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.came, ref)
	h.cleared, h.believed = 0, false
	if h.wrong >= manyFailures || errors.Is(h.trouble, source.ErrNotExist) {
		h.recover()
	}
}

// Served returns what came from a source before: of this version or, as the same
// people may read it, of another one of its dataset.
func (h *Health) Served(source string, ref manifest.Ref) (Reference, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.find(source, ref)
}

// find is served for a caller who holds mu.
func (h *Health) find(source string, ref manifest.Ref) (Reference, bool) {
	if r, ok := h.smallest(func(r Reference) bool { return r.source == source && r.Ref == ref }); ok {
		return r, true
	}
	return h.smallest(func(r Reference) bool { return r.source == source && r.Ref.Dataset == ref.Dataset })
}

// smallest returns the reference that costs least. The caller holds mu.
func (h *Health) smallest(of func(Reference) bool) (least Reference, ok bool) {
	for _, all := range h.came {
		for _, r := range all {
			if of(r) && (!ok || r.Size < least.Size) {
				least, ok = r, true
			}
		}
	}
	return least, ok
}

// Touchstone returns what to ask a source for, to see whether the host is well: what
// came before of this dataset or, unless it is about who may read what, of any.
func (h *Health) Touchstone(source string, ref manifest.Ref) (Reference, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.compare(source, ref, h.trouble)
}

// compare is touchstone for one kind of trouble, and a caller who holds mu.
func (h *Health) compare(src string, ref manifest.Ref, trouble error) (Reference, bool) {
	r, ok := h.find(src, ref)
	if _, access := errors.AsType[*source.AccessError](trouble); ok || access {
		return r, ok
	}
	return h.smallest(func(r Reference) bool { return r.source == src })
}
