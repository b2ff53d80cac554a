package retry

import (
	"errors"
	"slices"

	"mimicsync/downloader/source"
	"mimicsync/manifest"
)

// WholeReference is the size up to which an entry is fetched whole to probe a host, because
// then its digest tells, too.
const WholeReference = 1 << 20

// keptReferences is how many are kept per version: authors remove files from a version, and
// a missing file says nothing about the host.
const keptReferences = 3

// Reference is an entry that arrived.
type Reference struct {
	source string
	Ref    manifest.Ref
	Entry  manifest.Entry
	Size   int64
}

// Present notes an entry of the mirror as one that a source must have if it served the
// manifest.
func (h *Health) Present(source string, ref manifest.Ref, e manifest.Entry, size int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.remember(Reference{source, ref, e, size}, func(was Reference) bool {
		return was.source == source && was.Size > WholeReference && size < was.Size
	})
}

// remember adds a reference to those of its version, or replaces a worse one. The caller holds
// mu.
func (h *Health) remember(r Reference, better func(than Reference) bool) {
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

// Gone forgets a reference that the source no longer has, and reports whether it did: the
// last one stays, because then the source may have trouble.
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

// Forget forgets what arrived, because it came to another account.
func (h *Health) Forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	clear(h.came)
	clear(h.listed)
}

// List notes that a source served the manifest of a version, or said that it hasn't
// changed: it knows the account.
func (h *Health) List(source string, ref manifest.Ref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.listed == nil {
		h.listed = map[manifest.Ref]string{}
	}
	h.listed[ref] = source
}

// LetIn reports whether a source served anything of a version, even only the manifest: then
// a refusal may be a hiccup.
func (h *Health) LetIn(source string, ref manifest.Ref) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.letsIn(source, ref)
}

// letsIn is LetIn for a caller who holds mu.
func (h *Health) letsIn(source string, ref manifest.Ref) bool {
	_, came := h.find(source, ref)
	return came || h.listed[ref] == source
}

// Renewed notes that a version has a new manifest: entries that arrived under the old one
// no longer serve as a reference, and entries that were wrong or missing may have been so
// by the old one alone.
func (h *Health) Renewed(ref manifest.Ref) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.came, ref)
	h.cleared, h.believed = 0, false
	if h.wrong >= manyFailures || errors.Is(h.trouble, source.ErrNotExist) {
		h.recover()
	}
}

// Served returns what arrived from a source before: of this version or, since the same
// people may read it, of another version of its dataset.
func (h *Health) Served(source string, ref manifest.Ref) (Reference, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.find(source, ref)
}

// find is Served for a caller who holds mu.
func (h *Health) find(source string, ref manifest.Ref) (Reference, bool) {
	if r, ok := h.smallest(func(r Reference) bool { return r.source == source && r.Ref == ref }); ok {
		return r, true
	}
	return h.smallest(func(r Reference) bool { return r.source == source && r.Ref.Dataset == ref.Dataset })
}

// smallest returns the cheapest reference. The caller holds mu.
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

// Probe returns what to request from a source to probe whether the host is well: what
// arrived before of this dataset or, unless the trouble is about access, of any.
func (h *Health) Probe(source string, ref manifest.Ref) (Reference, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.compare(source, ref, h.trouble)
}

// compare is Probe for one kind of trouble. The caller holds mu.
func (h *Health) compare(src string, ref manifest.Ref, trouble error) (Reference, bool) {
	r, ok := h.find(src, ref)
	if _, access := errors.AsType[*source.AccessError](trouble); ok || access {
		return r, ok
	}
	return h.smallest(func(r Reference) bool { return r.source == src })
}
