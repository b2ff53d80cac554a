package store_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mimicsync/store"
)

const pageBytes = 4096

// pagesOf are the numbers of the pages of a kind, as bbolt's page header has it.
func pagesOf(data []byte, kind uint16) (all []int) {
	for i := 2; i < len(data)/pageBytes; i++ {
		page := data[i*pageBytes:]
		if binary.NativeEndian.Uint64(page) == uint64(i) && binary.NativeEndian.Uint16(page[8:]) == kind {
			all = append(all, i)
		}
	}
	return all
}

// aimed damages one thing of a state file in the worst ways, each in a copy.
func aimed(t *testing.T, whole []byte) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	change := func(name string, at int, value uint64) {
		data := slices.Clone(whole)
		binary.NativeEndian.PutUint64(data[at:], value)
		all[name] = data
	}
	branches := pagesOf(whole, 1)
	if len(branches) < 2 {
		t.Fatalf("the sample has the branch pages %v, want some", branches)
	}
	for _, i := range branches {
		count := int(binary.NativeEndian.Uint16(whole[i*pageBytes+10:]))
		sibling := binary.NativeEndian.Uint64(whole[i*pageBytes+16+8:])
		for _, e := range []int{0, count / 2, count - 1} {
			at := i*pageBytes + 16 + 16*e
			change(fmt.Sprintf("branch %d, element %d to itself", i, e), at+8, uint64(i))
			change(fmt.Sprintf("branch %d, element %d to another branch", i, e), at+8, uint64(branches[(slices.Index(branches, i)+1)%len(branches)]))
			change(fmt.Sprintf("branch %d, element %d far away", i, e), at+8, 1<<40)
			if e > 0 {
				change(fmt.Sprintf("branch %d, element %d to its sibling", i, e), at+8, sibling)
			}
		}
		change(fmt.Sprintf("branch %d, elements without end", i), i*pageBytes+8, 1|0xFFFF<<16|uint64(binary.NativeEndian.Uint32(whole[i*pageBytes+12:]))<<32)
		change(fmt.Sprintf("branch %d, pages without end", i), i*pageBytes+8, binary.NativeEndian.Uint64(whole[i*pageBytes+8:])|0xFFFFFFFF<<32)
	}
	lists := pagesOf(whole, 16)
	for _, i := range lists { // the one in force, and those of before
		count := int(binary.NativeEndian.Uint16(whole[i*pageBytes+10:]))
		if count == 0 {
			continue
		}
		change(fmt.Sprintf("list %d, a page in use is free", i), i*pageBytes+16, uint64(branches[0]))
	}
	return all
}

// A pointer that leads back, to a page that another one points to, or nowhere: Open
// says so at once, and no page is thought to be free that is in use. What is wrong in
// a page that is free, left by an earlier transaction, hurts nobody.
func TestAPointerThatLeadsAstray(t *testing.T) {
	t.Parallel()
	whole := sample(t, 3000)
	found, missed := map[string]int{}, map[string]int{} // by page
	for name, data := range aimed(t, whole) {
		page, _, _ := strings.Cut(name, ",")
		place := withFile(t, data)
		s, err := store.Open(place, "test")
		if err == nil {
			must(t, s.Close())
			missed[page]++
			continue
		}
		found[page]++
		if !errors.Is(err, store.ErrDamaged) {
			t.Errorf("%s: Open = %v, want ErrDamaged", name, err)
		}
		if got := read(t, place.File()); got != string(data) {
			t.Errorf("%s: Open changed the file", name)
		}
	}
	lists := 0
	for page, n := range found {
		if missed[page] > 0 {
			t.Errorf("%s: of what is wrong, %d were found and %d were not", page, n, missed[page])
		}
		if strings.HasPrefix(page, "list") {
			lists++
		}
	}
	if lists != 1 || len(found) < 3 {
		t.Errorf("found wrong: %v, want branches and the one list of free pages in force", found)
	}
}

// One bit of a state file is another, wherever: it is ErrDamaged, or hurts nothing,
// and whoever works with it comes to an end and lives.
func TestAFlippedBit(t *testing.T) {
	t.Parallel()
	whole, n := sample(t, 1500), 60 // `go run ./bench flips` has 500
	if testing.Short() {
		n = 10
	}
	random := rand.New(rand.NewPCG(3, 4))
	var dirs []string
	for i := range n {
		data := slices.Clone(whole)
		bit := random.IntN(8 * len(data))
		data[bit/8] ^= 1 << (bit % 8)
		dir := filepath.Join(t.TempDir(), fmt.Sprintf("%03d bit %d of page %d", i, bit%(8*pageBytes), bit/8/pageBytes))
		must(t, os.WriteFile(locate(t, dir, "").File(), data, 0o600))
		dirs = append(dirs, dir)
	}
	if probeIn(t, dirs) == 0 {
		t.Error("no damage was found")
	}
}
