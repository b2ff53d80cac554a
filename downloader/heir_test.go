package downloader_test

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"mimicsync/downloader/tree"
	"mimicsync/store"
)

// The owner of a mirror sleeps for minutes in the middle of a file, and another machine
// takes over. When it wakes up, what it writes, makes or renames reaches nothing that
// the heir works with; and the heir fetches nothing again.
func TestAnOwnerThatWakesUpWritesIntoNothing(t *testing.T) {
	slow(t)
	if runtime.GOOS == "windows" {
		t.Skip("an open file keeps its folder where it is")
	}
	f := file("big", 4*mega)
	s := newSite(t, nil, project(f))
	r := newRig(t, rigOptions{site: s})
	_, path := r.interruptedAt(s, 2*mega)
	r.close()
	sleeper, err := os.OpenFile(path, os.O_RDWR, 0)
	must(t, err)
	defer func() { must(t, sleeper.Close()) }()
	folder, err := os.OpenRoot(filepath.Dir(path))
	must(t, err)
	defer func() { must(t, folder.Close()) }()

	r.options.tree = tree.Options{Inherited: true}
	r.open()
	s.Reset()
	wakeUp := func() {
		_, err := sleeper.WriteAt(bytes.Repeat([]byte("?"), mega), 0)
		must(t, err)
		if err := folder.Rename(filepath.Base(path), "taken"); err == nil {
			t.Error("the sleeper renamed an unfinished file of its heir")
		}
		if made, err := folder.Create("new"); err == nil {
			_ = made.Close()
			t.Error("the sleeper made an unfinished file")
		}
	}
	wakeUp()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
	wakeUp()
	r.has(f)
	if got := s.Counters().BytesSent; got > 2*mega+256<<10 {
		t.Errorf("%d bytes were sent, want the second half of the file", got)
	}
	if _, err := os.Lstat(filepath.Join(r.dir, store.Dir, "partial.before")); err == nil {
		t.Error("the former folder is still there")
	}
}

// A crash while an heir copies what it inherits costs nothing.
func TestAnHeirThatCrashed(t *testing.T) {
	slow(t)
	f := file("big", 4*mega)
	s := newSite(t, nil, project(f))
	r := newRig(t, rigOptions{site: s})
	_, path := r.interruptedAt(s, 2*mega)
	r.close()
	own := filepath.Join(r.dir, store.Dir)
	must(t, os.Rename(filepath.Join(own, "partial"), filepath.Join(own, "partial.before")))
	must(t, os.Mkdir(filepath.Join(own, "partial"), 0o700))
	must(t, os.WriteFile(path+".copy", []byte("half"), 0o600))
	r.open()
	s.Reset()
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 1, Fetched: 1})
	if got := s.Counters().BytesSent; got > 2*mega+256<<10 {
		t.Errorf("%d bytes were sent, want the second half of the file", got)
	}
	r.has(f)
}
