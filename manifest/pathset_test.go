package manifest

import "testing"

// Of a handful of files, a plan tells each one that a listing lacks: a guess that is
// wrong once in two thousand times would show.
func TestASmallPathSetTakesNoPathForAnother(t *testing.T) {
	t.Parallel()
	for range 20_000 {
		s := NewPathSet(3)
		for _, path := range []string{"hosp/a", "hosp/b", "icu/c"} {
			s.Add(path)
			if !s.Has(path) {
				t.Fatalf("%s was added, and is not there", path)
			}
		}
		if s.Has("SHA256SUMS.txt") {
			t.Fatal("SHA256SUMS.txt was not added, and is there")
		}
	}
}
