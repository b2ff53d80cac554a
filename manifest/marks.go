package manifest

// Marks is a set of a manifest's entries by index, 0 for the first, with one bit per entry.
// It is not safe for concurrent use.
type Marks []uint64

// NewMarks returns an empty set for a manifest of n entries.
func NewMarks(n int64) Marks { return make(Marks, (n+63)/64) }

// Set marks entry i.
func (m Marks) Set(i int64) { m[i/64] |= 1 << (i % 64) }

// Unset removes the mark of entry i.
func (m Marks) Unset(i int64) { m[i/64] &^= 1 << (i % 64) }

// Has reports whether entry i is marked.
func (m Marks) Has(i int64) bool { return m[i/64]&(1<<(i%64)) != 0 }
