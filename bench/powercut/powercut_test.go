//go:build linux

package main

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"mimicsync/store"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What is moved aside, appended to or right is not lost; what is emptied, cut or
// overwritten is.
func TestAPersonsFilesAreMissed(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	right := reports(r, 60)
	p, mirror := newPerson(r, pd, right), t.TempDir()
	must(t, p.plant(mirror, t.TempDir()))
	lacks := func(want ...string) {
		t.Helper()
		lost, err := p.missing(mirror)
		must(t, err)
		slices.Sort(lost)
		if slices.Sort(want); !slices.Equal(lost, want) {
			t.Errorf("missing are %q, want %q", lost, want)
		}
	}
	lacks()
	var own []string
	for _, path := range p.mine.paths() {
		if strings.HasPrefix(string(p.mine[path]), "corrected") {
			own = append(own, path)
		}
	}
	name := func(i int) string { return filepath.Join(mirror, pd.Dataset, pd.Version, own[i]) }
	aside := filepath.Join(mirror, store.Dir, "quarantine", own[0])
	must(t, os.MkdirAll(filepath.Dir(aside), 0o700))
	must(t, os.Rename(name(0), aside))
	must(t, os.WriteFile(name(1), append(slices.Clone(p.mine[own[1]]), "more"...), 0o600))
	lacks()
	must(t, os.WriteFile(name(1), right[own[1]], 0o600))
	must(t, os.Truncate(name(2), 10))
	must(t, os.Remove(name(3)))
	lacks(own[1:4]...)
}

// A wrong file under a final name is a lie, also where no record speaks of it; what was
// published earlier is none, nor what a person has made.
func TestLiesAreSeen(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	former, now := reports(r, 10), reports(r, 10)
	l := &lab{dir: t.TempDir()}
	p := published{pd: []files{former, now}}
	mirror := t.TempDir()
	put := func(path string, b []byte) {
		name := filepath.Join(mirror, pd.Dataset, pd.Version, path)
		must(t, os.MkdirAll(filepath.Dir(name), 0o700))
		must(t, os.WriteFile(name, b, 0o600))
	}
	paths := now.paths()
	put(paths[0], now[paths[0]])
	put(paths[1], former[paths[1]])
	put("mine", []byte("mine"))
	spared := func(name string) bool { return strings.HasSuffix(name, "/mine") }
	in, err := l.inspect(mirror, p, spared)
	must(t, err)
	if len(in.lies) > 0 {
		t.Errorf("lies = %q, want none", in.lies)
	}
	put(paths[2], now[paths[2]][:100])
	put("unknown", []byte("?"))
	in, err = l.inspect(mirror, p, spared)
	must(t, err)
	if len(in.lies) != 2 {
		t.Errorf("lies = %q, want the torn one and the unknown one", in.lies)
	}
	if wrong := p.compareTree(mirror, pd); len(wrong) != len(now)-1 {
		t.Errorf("%d wrong, want all but one of %d", len(wrong), len(now))
	}
}
