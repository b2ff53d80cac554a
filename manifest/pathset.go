package manifest

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
)

// PathSet is a Bloom filter over paths, about two bytes for each. It contains every path
// that was added, and mistakes about one in two thousand other paths for one of them. It is
// not safe for concurrent use.
type PathSet struct {
	seed  maphash.Seed
	words []uint64
}

// pathBits is the number of bits that represent a path.
const pathBits = 8

// NewPathSet returns an empty set for about n paths.
func NewPathSet(n int64) *PathSet {
	const least = 64 // words: keeps false positives rare in small sets
	return &PathSet{seed: maphash.MakeSeed(), words: make([]uint64, n/4+least)}
}

// Add adds a path.
func (s *PathSet) Add(path string) {
	for at := range s.places(path) {
		s.words[at/64] |= 1 << (at % 64)
	}
}

// Has reports whether a path was added. It may report true for one that was not.
func (s *PathSet) Has(path string) bool {
	for at := range s.places(path) {
		if s.words[at/64]&(1<<(at%64)) == 0 {
			return false
		}
	}
	return true
}

// places yields the bits that represent a path. Each comes from its own generator: bits at
// even distances, as in double hashing, coincide if that distance happens to be short.
func (s *PathSet) places(path string) func(yield func(uint64) bool) {
	var r rand.PCG
	r.Seed(maphash.String(s.seed, path), 0)
	return func(yield func(uint64) bool) {
		for range pathBits {
			place, _ := bits.Mul64(r.Uint64(), uint64(len(s.words))*64)
			if !yield(place) {
				return
			}
		}
	}
}
