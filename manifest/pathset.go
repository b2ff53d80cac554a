package manifest

import (
	"hash/maphash"
	"math/bits"
	"math/rand/v2"
)

// PathSet is a set of paths in two bytes for each, a Bloom filter: it knows all
// that were added, and takes one in about two thousand others for one of them.
type PathSet struct {
	seed  maphash.Seed
	words []uint64
}

// pathBits of pathSet are asked about each path.
const pathBits = 8

func NewPathSet(n int64) *PathSet {
	const least = 64 // words: of few paths, hardly ever one is taken for another
	return &PathSet{seed: maphash.MakeSeed(), words: make([]uint64, n/4+least)}
}

func (s *PathSet) Add(path string) {
	for at := range s.places(path) {
		s.words[at/64] |= 1 << (at % 64)
	}
}

func (s *PathSet) Has(path string) bool {
	for at := range s.places(path) {
		if s.words[at/64]&(1<<(at%64)) == 0 {
			return false
		}
	}
	return true
}

// places are the bits of a path. Each is drawn anew: bits at an even distance are
// all the same one when that distance happens to be short.
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
