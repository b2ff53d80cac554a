package manifest

// Marks is a set of entries by index: one bit each.
type Marks []uint64

func NewMarks(n int64) Marks { return make(Marks, (n+63)/64) }

func (b Marks) Set(i int64)      { b[i/64] |= 1 << (i % 64) }
func (b Marks) Unset(i int64)    { b[i/64] &^= 1 << (i % 64) }
func (b Marks) Has(i int64) bool { return b[i/64]&(1<<(i%64)) != 0 }
