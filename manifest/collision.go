package manifest

import (
	"errors"
	"fmt"
	"io"
	"slices"
)

// Collision is an entry that can't exist beside an earlier one.
type Collision struct {
	Path, With string // of the later and the earlier entry
	// Identical means that the names are the same, so that they collide on every file
	// system: a path listed twice with two digests, or a path that is a file here and a
	// folder there. Otherwise they differ in case only, in the file's name or a folder's,
	// and collide where the file system ignores case.
	Identical bool
	// Trailing means that they differ, perhaps also, in dots or spaces at the end, and
	// collide where the file system drops those: FAT, exFAT, NTFS and Windows file shares.
	Trailing bool `json:",omitempty"`
}

const (
	// maxCollisions limits the answer: people read the first few, and a hostile manifest
	// could have millions.
	maxCollisions = 10_000
	// maxSightings limits the memory of one scan: 16 bytes each.
	maxSightings = 1 << 20
	// maxSuspects limits the names that the confirming scan holds as strings, and maxHeld
	// the bytes of these: a path may have 8 KiB.
	maxSuspects = 1 << 16
	maxHeld     = 8 << 20
)

// Collisions returns the entries of manifest r that collide with earlier ones, in the
// manifest's order. It stops at 10,000, or earlier with very long paths, and may then miss
// some. It returns an entry once, and two spellings of a folder once, with the first entry
// below the second spelling. A path that is listed again with the same digest is harmless,
// and a path that CheckPath rejects is never created: neither counts. Case is folded with
// Unicode's simple folding, and dots and spaces at the end of a name are ignored; composed
// and decomposed characters are different.
//
// Memory is limited to some tens of megabytes, whatever the manifest contains. The manifest
// is read about once per million names, and once more if any seem to collide.
func Collisions(r io.ReaderAt, size int64) ([]Collision, error) {
	return collisions(r, size, maxSightings)
}

func collisions(r io.ReaderAt, size int64, limit int) ([]Collision, error) {
	n := newNames()
	suspects := make(map[uint64]struct{})
	for todo := []part{{}}; len(todo) > 0; {
		s := scan{part: todo[len(todo)-1], limit: limit}
		todo = todo[:len(todo)-1]
		if err := n.eachEntry(r, size, func(_ Entry, found name) { s.add(found.sighting) }); err != nil {
			return nil, err
		}
		s.suspects(suspects)
		todo = append(todo, s.later...)
	}
	if len(suspects) == 0 {
		return nil, nil
	}
	return confirm(n, r, size, suspects)
}

// part is the fraction of all names whose folded hash begins with the given bits.
type part struct {
	bits   int
	prefix uint64
}

func (p part) holds(fold uint64) bool { return fold>>(64-p.bits) == p.prefix }

// halves splits a part in two.
func (p part) halves() (part, part) {
	return part{p.bits + 1, p.prefix << 1}, part{p.bits + 1, p.prefix<<1 | 1}
}

// scan collects the sightings of one part. When there are too many, it continues with half
// of the part and leaves the other half to a later scan, so that the number of names need
// not be known beforehand.
type scan struct {
	part  part
	limit int
	seen  []sighting
	later []part
}

func (s *scan) add(found sighting) {
	if !s.part.holds(found.fold) {
		return
	}
	if len(s.seen) == s.limit {
		s.compact()
		for len(s.seen) > s.limit/2 {
			s.narrow()
		}
	}
	if s.part.holds(found.fold) {
		s.seen = append(s.seen, found)
	}
}

// compact keeps one of equal sightings, which are the same folder or a harmless repetition,
// and two of those that fold alike: two are enough to suspect the name.
func (s *scan) compact() {
	slices.SortFunc(s.seen, compareSightings)
	s.seen = slices.Compact(s.seen)
	kept := s.seen[:0]
	for _, found := range s.seen {
		if n := len(kept); n >= 2 && kept[n-2].fold == found.fold {
			continue
		}
		kept = append(kept, found)
	}
	s.seen = kept
}

func (s *scan) narrow() {
	keep, rest := s.part.halves()
	s.part = keep
	s.later = append(s.later, rest)
	s.seen = slices.DeleteFunc(s.seen, func(found sighting) bool { return !keep.holds(found.fold) })
}

// suspects adds the folded hashes that belong to several names.
func (s *scan) suspects(to map[uint64]struct{}) {
	s.compact()
	for i := 1; i < len(s.seen) && len(to) < maxSuspects; i++ {
		if s.seen[i].fold == s.seen[i-1].fold {
			to[s.seen[i].fold] = struct{}{}
		}
	}
}

// variant is one of several names that fold alike.
type variant struct {
	spelling string
	file     bool
	digest   Digest // of a file
}

// confirmation keeps the suspected names as strings: a hash only says where to look. Paths
// are those of the first entry with each name.
type confirmation struct {
	suspects map[uint64]struct{}
	known    map[variant]struct{}
	spelled  map[string]string // path by name
	folded   map[string]string // path by name with case folded
	trimmed  map[string]string // path by name with case folded, and without dots and spaces at the end
	found    []Collision
	last     int64 // offset of the last entry in found
	held     int   // approximate bytes of the names
}

func confirm(n *names, r io.ReaderAt, size int64, suspects map[uint64]struct{}) ([]Collision, error) {
	c := confirmation{
		suspects: suspects,
		known:    make(map[variant]struct{}),
		spelled:  make(map[string]string),
		folded:   make(map[string]string),
		trimmed:  make(map[string]string),
	}
	if err := n.eachEntry(r, size, c.see); err != nil {
		return nil, err
	}
	return c.found, nil
}

func (c *confirmation) see(e Entry, at name) {
	if _, ok := c.suspects[at.fold]; !ok || len(c.found) == maxCollisions || c.held > maxHeld {
		return
	}
	v := variant{spelling: e.Path[:at.end], file: at.file}
	if at.file {
		v.digest = e.Digest
	}
	if _, ok := c.known[v]; ok {
		return
	}
	c.known[v] = struct{}{}
	c.held += len(v.spelling) + len(e.Path)
	with, identical := c.spelled[v.spelling]
	trailing := false
	if !identical {
		c.spelled[v.spelling] = e.Path
		folded := string(appendFold(nil, v.spelling))
		var collides bool
		if with, collides = c.folded[folded]; !collides {
			c.folded[folded] = e.Path
			if with, trailing = c.trimmed[string(at.folded)]; !trailing {
				c.trimmed[string(at.folded)] = e.Path
				return
			}
		}
	}
	if len(c.found) > 0 && c.last == e.Offset {
		// Names come from the root down: the longest says most.
		c.found = c.found[:len(c.found)-1]
	}
	c.found, c.last = append(c.found, Collision{Path: e.Path, With: with, Identical: identical, Trailing: trailing}), e.Offset
}

// eachEntry calls visit for every name of every safe entry, and once for the same folder in
// consecutive entries.
func (n *names) eachEntry(r io.ReaderAt, size int64, visit func(Entry, name)) error {
	n.previous = ""
	entries := NewReader(io.NewSectionReader(r, 0, size))
	for {
		e, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for collisions: %w", err)
		}
		if CheckPath(e.Path) == nil {
			n.each(e, visit)
		}
	}
}
