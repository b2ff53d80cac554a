package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/downloader"
	"mimicsync/downloader/host"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/source/sourcetest"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// A machine sleeps in the middle of a pull, and meanwhile another one takes the
// mirror. The pull ends, says who has it, and leaves what is there to the other: what
// it does to end in good order is to name the unfinished file.
func TestAPullThatLostTheMirror(t *testing.T) {
	dir, ref := t.TempDir(), manifest.Ref{Dataset: "demo", Version: "1.0"}
	content := bytes.Repeat([]byte("patient"), 10_000)
	source := sourcetest.NewMemory(ref, map[string][]byte{
		manifest.Name: fmt.Appendf(nil, "%x  a.csv\n", sha256.Sum256(content)), "a.csv": content,
	})
	source.Stall("a.csv", 50_000)
	state, err := store.Locate(dir, "")
	try(t, err)
	elsewhere, err := store.Locate(dir, t.TempDir())
	try(t, err)
	synctest.Test(t, func(t *testing.T) {
		m := &mirror{}
		m.store, err = store.Open(state, "pull")
		try(t, err)
		m.tree, err = tree.Open(dir, tree.Options{})
		try(t, err)
		m.syncer, err = downloader.New(downloader.Options{
			Tree: m.tree, Store: m.store, Sources: []host.Source{{Source: source, Budget: pace.NewBudget(1)}},
		})
		try(t, err)

		var stderr bytes.Buffer
		a := newApp(&stderr, &stderr)
		a.progress = "none"
		code := make(chan int)
		go func() {
			report, err := a.pullOne(t.Context(), m, ref, manifest.Selection{})
			code <- a.ui.ExplainPass(report, err)
		}()
		synctest.Wait()
		sleep(t, dir)
		other, err := store.Open(elsewhere, "other")
		try(t, err)
		start, before := time.Now(), files(t, dir)
		if got := <-code; got != advice.ExitOwned || time.Since(start) > 30*time.Second {
			t.Errorf("the pull ends with %d after %v, want %d within a beat", got, time.Since(start), advice.ExitOwned)
		}
		want := fmt.Sprintf("lost the mirror: the mirror is in use by another process: pid %d", os.Getpid())
		if said := stderr.String(); strings.Count(said, want) != 1 || !strings.Contains(said, "(other)") {
			t.Errorf("the pull says\n%swant once %q, and what the other is", said, want)
		}
		try(t, m.close())
		if after := files(t, dir); after != before {
			t.Errorf("the mirror has\n%swant what it had when the other took it:\n%s", after, before)
		}
		if o, ok := store.OwnerOf(dir); !ok || o.Command != "other" {
			t.Errorf("OwnerOf = %+v, %t, want the other", o, ok)
		}
		try(t, other.Close())
	})
}

// sleep makes the owner of a mirror look as if its machine had slept.
func sleep(t *testing.T, dir string) {
	t.Helper()
	long := time.Unix(0, 0)
	try(t, os.Chtimes(filepath.Join(dir, store.Dir, "owner"), long, long))
}

// files are the names, sizes and times of what lies in a mirror, but for unfinished
// files and the owner's, which its owner writes.
func files(t *testing.T, dir string) string {
	t.Helper()
	var all strings.Builder
	try(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err == nil && d.Name() == "partial":
			return fs.SkipDir
		case err != nil, d.IsDir(), d.Name() == "owner":
			return err
		}
		fi, err := d.Info()
		if err == nil {
			fmt.Fprintln(&all, path, fi.Size(), fi.ModTime().UnixNano())
		}
		return err
	}))
	return all.String()
}
