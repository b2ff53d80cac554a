package store

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
)

// bbolt trusts its pages: one pointer that leads back makes it walk forever or until memory
// is full, and a page that is both free and in use is overwritten. So this package checks
// all pages before bbolt opens the file. The layout is that of package common in
// go.etcd.io/bbolt/internal, version 2:
//
//	page     id uint64, flags uint16, count uint16, overflow uint32; then count elements
//	meta     magic, version, page size, flags uint32; root, sequence, free list, end, transaction, checksum uint64
//	branch   position, key size uint32; page uint64
//	leaf     flags, position, key size, value size uint32; a bucket's value is root, sequence uint64 and, where
//	         the root is 0, a leaf page
//	free     page uint64 each; where count is 0xFFFF, the first is the count
//
// in the byte order of the machine. Positions count from their element.
const (
	pageHeader   = 16
	pageElement  = 16
	bucketHeader = 16
	metaSize     = 64

	branchPage = 0x01
	leafPage   = 0x02
	freePage   = 0x10

	bucketElement = 0x01

	metaMagic   = 0xED0CDAED
	metaVersion = 2
	noFreeList  = ^uint64(0)

	leastPage, mostPage = 1 << 10, 64 << 10
)

var native = binary.NativeEndian

// pageMeta is the content of a meta page.
type pageMeta struct {
	pageSize                   int64
	root, freeList, end, write uint64
}

// pageRef points to a page whose keys must lie from low on, and before high unless that is
// nil.
type pageRef struct {
	id        uint64
	low, high []byte
}

// pageWalk is one walk over all pages in use. It visits each page once, so that it always
// ends, and level by level in the order of the pages on the disk.
type pageWalk struct {
	f     io.ReaderAt
	meta  pageMeta
	used  bitmap
	level []pageRef
	next  []pageRef
	buf   []byte
}

// bitmap is a set of page numbers.
type bitmap []uint64

func (b bitmap) has(i uint64) bool { return b[i/64]&(1<<(i%64)) != 0 }
func (b bitmap) set(i uint64)      { b[i/64] |= 1 << (i % 64) }

// checkFile checks the pages of a state file that nobody writes to. The error is ErrDamaged
// or an error of the disk.
func checkFile(f *os.File) error {
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	err = checkPages(f, fi.Size())
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("%w: it ends in the middle of a page", ErrDamaged)
	}
	return err
}

// checkPages checks every page of a bbolt file of size bytes: that each is of the kind that
// the page above says, has one pointer to it and its keys in order, and isn't in the list
// of free pages.
func checkPages(f io.ReaderAt, size int64) error {
	meta, err := lastMeta(f, size)
	if err != nil {
		return err
	}
	if meta.end < 3 || meta.end > uint64(size)/uint64(meta.pageSize) { //nolint:gosec // sizes are not negative
		return fmt.Errorf("%w: it is %d bytes long and should be %d", ErrDamaged, size, meta.end*uint64(meta.pageSize)) //nolint:gosec // likewise
	}
	w := &pageWalk{f: f, meta: meta, used: make(bitmap, meta.end/64+1)}
	w.used.set(0)
	w.used.set(1)
	if err := w.point(pageRef{id: meta.root}); err != nil {
		return err
	}
	for len(w.next) > 0 {
		w.level, w.next = w.next, w.level[:0]
		slices.SortFunc(w.level, func(a, b pageRef) int { return cmp.Compare(a.id, b.id) })
		for _, ref := range w.level {
			if err := w.visit(ref); err != nil {
				return fmt.Errorf("%w: page %d: %w", ErrDamaged, ref.id, err)
			}
		}
	}
	if err := w.checkFree(); err != nil {
		return fmt.Errorf("%w: the list of free pages: %w", ErrDamaged, err)
	}
	return nil
}

// lastMeta is the meta page of the last complete transaction.
func lastMeta(f io.ReaderAt, size int64) (pageMeta, error) {
	first, ok := metaAt(f, 0)
	pageSizes := []int64{first.pageSize}
	if !ok { // its page size can't be trusted either
		pageSizes = nil
		for n := int64(leastPage); n <= mostPage && n < size; n *= 2 {
			pageSizes = append(pageSizes, n)
		}
	}
	for _, n := range pageSizes {
		second, ok2 := metaAt(f, n)
		if ok2 && second.pageSize == n && (!ok || second.write > first.write) {
			return second, nil
		}
	}
	if !ok {
		return first, fmt.Errorf("%w: it has no valid meta page", ErrDamaged)
	}
	return first, nil
}

func metaAt(f io.ReaderAt, offset int64) (m pageMeta, ok bool) {
	b := make([]byte, pageHeader+metaSize)
	if _, err := f.ReadAt(b, offset); err != nil {
		return m, false
	}
	b = b[pageHeader:]
	sum := fnv.New64a()
	_, _ = sum.Write(b[:56]) // never fails, see hash.Hash
	m = pageMeta{int64(native.Uint32(b[8:])), native.Uint64(b[16:]), native.Uint64(b[32:]), native.Uint64(b[40:]), native.Uint64(b[48:])}
	return m, native.Uint32(b) == metaMagic && native.Uint32(b[4:]) == metaVersion && native.Uint64(b[56:]) == sum.Sum64() &&
		m.pageSize >= leastPage && m.pageSize <= mostPage
}

// point adds a page to those to visit.
func (w *pageWalk) point(ref pageRef) error {
	switch {
	case ref.id >= w.meta.end:
		return fmt.Errorf("it points to page %d, and there are %d", ref.id, w.meta.end)
	case w.used.has(ref.id):
		return fmt.Errorf("it points to page %d, as another one does", ref.id)
	}
	w.used.set(ref.id)
	w.next = append(w.next, ref)
	return nil
}

// read returns a whole page. It is valid until the next call.
func (w *pageWalk) read(id uint64) ([]byte, error) {
	header := make([]byte, pageHeader)
	if _, err := w.f.ReadAt(header, int64(id)*w.meta.pageSize); err != nil { //nolint:gosec // within the file
		return nil, err
	}
	pages := 1 + uint64(native.Uint32(header[12:]))
	if got := native.Uint64(header); got != id {
		return nil, fmt.Errorf("it says that it is page %d", got)
	}
	if pages > w.meta.end-id {
		return nil, fmt.Errorf("it has %d pages, and %d are left", pages, w.meta.end-id)
	}
	for more := id + 1; more < id+pages; more++ {
		if w.used.has(more) {
			return nil, fmt.Errorf("page %d belongs to it, and to another one", more)
		}
		w.used.set(more)
	}
	n := int64(pages) * w.meta.pageSize //nolint:gosec // within the file
	if int64(cap(w.buf)) < n {
		w.buf = make([]byte, n)
	}
	w.buf = w.buf[:n]
	_, err := w.f.ReadAt(w.buf, int64(id)*w.meta.pageSize) //nolint:gosec // within the file
	return w.buf, err
}

func (w *pageWalk) visit(ref pageRef) error {
	b, err := w.read(ref.id)
	if err != nil {
		return err
	}
	switch flags := native.Uint16(b[8:]); flags {
	case branchPage:
		return w.branch(b, ref)
	case leafPage:
		return w.leaf(b, ref, true)
	default:
		return fmt.Errorf("it is of kind %#x", flags)
	}
}

// element cuts an element's key and value out of a page.
func element(page []byte, i int, position, key, value uint32) (k, v []byte, err error) {
	at := uint64(pageHeader+i*pageElement) + uint64(position) //nolint:gosec // i is at most 65,535
	end := at + uint64(key) + uint64(value)
	if end > uint64(len(page)) {
		return nil, nil, fmt.Errorf("element %d ends behind it", i)
	}
	k = page[at : at+uint64(key)]
	return k, page[at+uint64(key) : end], nil
}

// elements returns the elements of a page, in order.
func elements(page []byte) ([]byte, int, error) {
	count := int(native.Uint16(page[10:]))
	if pageHeader+count*pageElement > len(page) {
		return nil, 0, fmt.Errorf("it says that it has %d elements", count)
	}
	return page[pageHeader:], count, nil
}

func (w *pageWalk) branch(page []byte, ref pageRef) error {
	all, count, err := elements(page)
	if err != nil || count == 0 {
		return cmp.Or(err, errors.New("it has no elements"))
	}
	from := len(w.next)
	for i := range count {
		e := all[i*pageElement:]
		k, _, err := element(page, i, native.Uint32(e), native.Uint32(e[4:]), 0)
		if err != nil {
			return err
		}
		if err := w.point(pageRef{native.Uint64(e[8:]), bytes.Clone(k), ref.high}); err != nil {
			return err
		}
		if i > 0 {
			w.next[from+i-1].high = w.next[from+i].low
		}
	}
	return inOrder(w.next[from:], ref)
}

// inOrder checks the keys of a branch page.
func inOrder(children []pageRef, ref pageRef) error {
	before := ref.low
	for i, child := range children {
		if c := bytes.Compare(before, child.low); c > 0 || c == 0 && i > 0 || ref.high != nil && bytes.Compare(child.low, ref.high) >= 0 {
			return fmt.Errorf("the key of element %d is out of order", i)
		}
		before = child.low
	}
	return nil
}

// leaf checks a leaf page. The value of a bucket may be one, too; then it has no buckets.
func (w *pageWalk) leaf(page []byte, ref pageRef, buckets bool) error {
	all, count, err := elements(page)
	if err != nil {
		return err
	}
	before := ref.low
	for i := range count {
		e := all[i*pageElement:]
		k, v, err := element(page, i, native.Uint32(e[4:]), native.Uint32(e[8:]), native.Uint32(e[12:]))
		if err != nil {
			return err
		}
		if c := bytes.Compare(before, k); c > 0 || c == 0 && i > 0 || ref.high != nil && bytes.Compare(k, ref.high) >= 0 {
			return fmt.Errorf("the key of element %d is out of order", i)
		}
		before = k
		switch flags := native.Uint32(e); {
		case flags == 0:
		case flags != bucketElement || !buckets:
			return fmt.Errorf("element %d is of kind %#x", i, flags)
		default:
			if err := w.bucket(v); err != nil {
				return fmt.Errorf("the bucket of element %d: %w", i, err)
			}
		}
	}
	return nil
}

// bucket checks a value that is a bucket.
func (w *pageWalk) bucket(v []byte) error {
	if len(v) < bucketHeader {
		return fmt.Errorf("it has %d bytes", len(v))
	}
	if root := native.Uint64(v); root != 0 {
		return w.point(pageRef{id: root})
	}
	page := v[bucketHeader:]
	if len(page) < pageHeader || native.Uint16(page[8:]) != leafPage {
		return errors.New("it has no page")
	}
	return w.leaf(page, pageRef{}, false)
}

// checkFree checks the list of free pages: a writer would use them.
func (w *pageWalk) checkFree() error {
	if w.meta.freeList == noFreeList {
		return nil // bbolt makes a list of the pages that aren't in use
	}
	if w.meta.freeList >= w.meta.end || w.used.has(w.meta.freeList) {
		return fmt.Errorf("it cannot be page %d", w.meta.freeList)
	}
	w.used.set(w.meta.freeList)
	b, err := w.read(w.meta.freeList)
	if err != nil {
		return err
	}
	if flags := native.Uint16(b[8:]); flags != freePage {
		return fmt.Errorf("it is of kind %#x", flags)
	}
	count, ids := uint64(native.Uint16(b[10:])), b[pageHeader:]
	if count == 0xFFFF {
		count, ids = native.Uint64(ids), ids[8:]
	}
	if count > uint64(len(ids)/8) {
		return fmt.Errorf("it says that it has %d pages", count)
	}
	for i := range count {
		id := native.Uint64(ids[8*i:])
		if id >= w.meta.end || w.used.has(id) {
			return fmt.Errorf("page %d is in use, or twice on it, or not there", id)
		}
		w.used.set(id)
	}
	return nil
}
