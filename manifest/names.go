package manifest

import (
	"cmp"
	"hash/maphash"
	"strings"
	"unicode"
	"unicode/utf8"
)

// sighting is what a scan remembers of a name. Two sightings with one fold and two
// spellings are a collision, or very rarely two names with the same hash, which costs only
// another look.
type sighting struct {
	fold     uint64 // hash of the name in the form that colliding names share, see names.extend
	spelling uint64 // hash of the name as it is; for a file, including its digest
}

func compareSightings(a, b sighting) int {
	return cmp.Or(cmp.Compare(a.fold, b.fold), cmp.Compare(a.spelling, b.spelling))
}

// name is a path that an entry creates in the file system: a folder on the way, or the file
// itself.
type name struct {
	sighting
	end    int    // Path[:end] is the name
	folded []byte // the same in folded form; valid during the visit
	file   bool
}

// names splits entries into names. Each has newly seeded hashes, so that nobody can prepare
// a manifest that hides a collision behind equal hashes.
type names struct {
	fold, spelling maphash.Hash
	folded         []byte
	previous       string // the path that was split last
}

func newNames() *names {
	n := new(names)
	n.fold.SetSeed(maphash.MakeSeed())
	n.spelling.SetSeed(maphash.MakeSeed())
	return n
}

// each calls visit for every folder on the way to e, except those that it shares with the
// previous entry, and for e itself.
func (n *names) each(e Entry, visit func(Entry, name)) {
	n.fold.Reset()
	n.spelling.Reset()
	n.folded = n.folded[:0]
	shared := sharedFolders(n.previous, e.Path)
	n.previous = e.Path
	for start := 0; ; {
		end := len(e.Path)
		slash := strings.IndexByte(e.Path[start:], '/')
		if slash >= 0 {
			end = start + slash
		}
		n.extend(e.Path[start:end])
		found := name{end: end, folded: n.folded, file: slash < 0}
		if found.file {
			// A zero byte, which no path has, keeps a file from looking like a folder.
			_ = n.spelling.WriteByte(0)
			_, _ = n.spelling.Write(e.Digest[:])
		}
		if end > shared {
			found.fold, found.spelling = n.fold.Sum64(), n.spelling.Sum64()
			visit(e, found)
		}
		if found.file {
			return
		}
		n.extend("/")
		start = end + 1
	}
}

// extend appends a piece of the path, a component or a slash, to both hashes: to one of
// them with case folded and without dots and spaces at its end. A maphash.Hash never fails
// to write.
func (n *names) extend(piece string) {
	_, _ = n.spelling.WriteString(piece)
	from := len(n.folded)
	n.folded = appendFold(n.folded, strings.TrimRight(piece, ". "))
	_, _ = n.fold.Write(n.folded[from:])
}

// sharedFolders returns the length of the longest folder that contains both paths, without
// its slash.
func sharedFolders(a, b string) int {
	shared := 0
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			break
		}
		if a[i] == '/' {
			shared = i
		}
	}
	return shared
}

// appendFold appends s in a form that is the same for all strings that strings.EqualFold
// calls equal: every character becomes the smallest of those that differ from it only in
// case.
func appendFold(to []byte, s string) []byte {
	for i := 0; i < len(s); {
		b := s[i]
		if b < utf8.RuneSelf {
			if 'a' <= b && b <= 'z' {
				b -= 'a' - 'A'
			}
			to = append(to, b)
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		to = utf8.AppendRune(to, foldRune(r))
		i += size
	}
	return to
}

func foldRune(r rune) rune {
	least := r
	for next := unicode.SimpleFold(r); next != r; next = unicode.SimpleFold(next) {
		least = min(least, next)
	}
	return least
}
