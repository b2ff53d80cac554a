package downloader_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"testing/synctest"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/sourcetest"
	"mimicsync/manifest"
	"mimicsync/store"
)

// unsized is a project whose size nobody knows beforehand, so that the disk
// fills in mid-pass.
func unsized(files ...lookalike.GeneratedFile) lookalike.Project {
	p := project(files...)
	p.Versions[0].Bytes = 0
	return p
}

func wantNoSpace(t testing.TB, err error) *failure.SpaceError {
	t.Helper()
	if !errors.Is(err, failure.ErrNoSpace) {
		t.Fatalf("Pull = %v, want %v", err, failure.ErrNoSpace)
	}
	var space *failure.SpaceError
	if !errors.As(err, &space) {
		t.Fatalf("Pull = %v, want a *SpaceError", err)
	}
	return space
}

// The sizes are known: nothing is fetched that cannot end.
func TestAPassThatCannotFitDoesNotStart(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t, "size=8m")
	s := newSite(t, nil, project(file("a", 5*mega), file("b", 5*mega)))
	r := newRig(t, rigOptions{site: s, dir: dir})
	report, err := r.tryPull(t.Context())
	if space := wantNoSpace(t, err); space.Need < 10*mega || space.Free <= 0 || space.Free > 8*mega {
		t.Errorf("error = %+v, want 10 MiB needed, less free", space)
	}
	if report.State != store.Failed || s.Counters().Files != 0 {
		t.Errorf("report = %+v after %d files, want failed before the first", report, s.Counters().Files)
	}
}

// The disk fills in mid-pass: what was verified stays, and when there is room
// the next pass fetches only the rest.
func TestAFullDiskKeepsWhatWasVerified(t *testing.T) {
	for _, tt := range []struct {
		name string
		size int64 // of each of the files that do not fit together
		same bool  // the process goes on, as a daemon does
	}{{"big files", 3 * mega, false}, {"small files", 100 << 10, false}, {"big files and a daemon", 3 * mega, true}, {"small files and a daemon", 100 << 10, true}} {
		t.Run(tt.name, func(t *testing.T) {
			slow(t)
			dir := smallDisk(t, "size=24m")
			var files []lookalike.GeneratedFile
			for i := range 14 * mega / tt.size {
				files = append(files, file("f/"+string(rune('a'+i/26))+string(rune('a'+i%26)), tt.size))
			}
			s := newSite(t, nil, unsized(files...))
			r := newRig(t, rigOptions{site: s, dir: dir, connections: 2})
			// The first file comes while there is room, the others do not all fit.
			wantFiles(t, r.pull(files[0].Path), store.Complete, store.Files{Total: 1, Fetched: 1})
			ballast := filepath.Join(dir, "ballast")
			must(t, os.WriteFile(ballast, make([]byte, 16*mega), 0o600))

			report, err := r.tryPull(t.Context())
			if space := wantNoSpace(t, err); space.Need <= 0 {
				t.Errorf("error = %+v, want to read how much is missing", space)
			}
			noSpace := func(f store.Failure) bool { return f.Reason == string(failure.ReasonNoSpace) }
			if report.State != store.Failed || !slices.ContainsFunc(report.Failures, noSpace) {
				t.Errorf("report = %+v, want failed by no_space", report)
			}
			fetched := int(s.Counters().Files)

			must(t, os.Remove(ballast))
			if !tt.same {
				r.reopen()
			}
			s.Reset()
			if report := r.pull(); report.State != store.Complete || report.Files.Total != int64(len(files)) {
				t.Errorf("with room again: %+v", report)
			}
			// Each worker may have lost what it had in its hands when the disk was full, and
			// have given up a request that comes to the server only now.
			if got := int(s.Counters().Files); got > len(files)-fetched+2+2 {
				t.Errorf("%d files were fetched, and then %d of %d again", fetched, got, len(files))
			}
			r.has(files...)
		})
	}
}

// The disk is full when the state is to be written: the files of that commit are not
// fetched again, nor by a process that goes on, as a daemon does.
func TestACommitOnAFullDiskKeepsWhatWasVerified(t *testing.T) {
	for _, same := range []bool{true, false} {
		t.Run(fmt.Sprintf("the same process: %t", same), func(t *testing.T) {
			slow(t)
			dir := smallDisk(t, "size=24m")
			files := manyFiles(700, 300)
			s := newSite(t, nil, unsized(files...))
			r := newRig(t, rigOptions{site: s, dir: dir})
			ballast := filepath.Join(dir, "ballast")
			syncs := 0 // of the committer's goroutine
			r.syncer.SetReached(func(point string) {
				if point == "synced" {
					if syncs++; syncs == 2 {
						_ = os.WriteFile(ballast, make([]byte, 24*mega), 0o600) // as much as there is room for
					}
				}
			})
			report, err := r.tryPull(t.Context())
			if !errors.Is(err, syscall.ENOSPC) || report.Files.Fetched > 0 {
				t.Fatalf("Pull = %+v, %v, want that the state cannot be written", report.Files, err)
			}
			r.syncer.SetReached(nil)
			must(t, os.Remove(ballast))
			if !same {
				r.reopen()
			}
			s.Reset()
			if report := r.pull(); report.State != store.Complete {
				t.Errorf("with room again: %+v", report)
			}
			if n := s.Counters().Files; n > 0 {
				t.Errorf("%d of the 700 files were fetched again", n)
			}
		})
	}
}

// There is room, but no inode for another file.
func TestADiskWithoutInodes(t *testing.T) {
	slow(t)
	dir := smallDisk(t, "size=64m,nr_inodes=60")
	s := newSite(t, nil, unsized(manyFiles(100, 100)...))
	r := newRig(t, rigOptions{site: s, dir: dir})
	_, err := r.tryPull(t.Context())
	if space := wantNoSpace(t, err); !space.Inodes {
		t.Errorf("error = %+v, want to read that inodes are missing, not bytes", space)
	}
}

// A broken connection must not make the pass ask for room that the file has
// reserved already.
func TestAReservedFileFitsAfterABrokenConnection(t *testing.T) {
	slow(t)
	dir := smallDisk(t, "size=64m")
	f := file("big", 40*mega)
	s := newSite(t, nil, project(f))
	s.Inject(lookalike.Fault{Kind: lookalike.ShortBody, Path: "big", After: 5 * mega, Times: 1})
	r := newRig(t, rigOptions{site: s, dir: dir})
	report, err := r.tryPull(t.Context())
	if err != nil {
		t.Fatalf("Pull = %v: 40 of 64 MB were the file's own", err)
	}
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
}

// Nor must the next pass, after an interruption.
func TestAReservedFileFitsAfterAnInterruption(t *testing.T) {
	slow(t)
	dir := smallDisk(t, "size=64m")
	f := file("big", 40*mega)
	s := newSite(t, nil, project(f))
	r := newRig(t, rigOptions{site: s, dir: dir})
	r.interruptedAt(s, 5*mega)
	r.reopen()
	report, err := r.tryPull(t.Context())
	if err != nil {
		t.Fatalf("Pull = %v: 40 of 64 MB were the file's own", err)
	}
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
}

// A new version that links most of its files takes no room for them.
func TestANewVersionThatFitsByLinks(t *testing.T) {
	slow(t)
	dir := smallDisk(t, "size=32m")
	data := string(content(t, file("x", 20*mega)))
	s := newSite(t, nil, versions(
		[]lookalike.GeneratedFile{same("big", data)}, []lookalike.GeneratedFile{same("big", data), file("new", 100)}))
	r := newRig(t, rigOptions{site: s, dir: dir})
	r.pull()
	report, err := r.run(t.Context(), manifest.Ref{Dataset: "demo", Version: "2.0"}, new(progress.Progress))
	if err != nil {
		t.Fatalf("Pull = %v: 20 of its 20 MB are here", err)
	}
	wantFiles(t, report, store.Complete, store.Files{Total: 2, Linked: 1, Fetched: 1})
}

// boaster says of one file that it is a petabyte long.
type boaster struct {
	*sourcetest.Memory

	published int64 // what it says of the whole version, 0: nothing
}

func (b boaster) Open(ctx context.Context, r source.Request) (*source.Object, error) {
	o, err := b.Memory.Open(ctx, r)
	if err == nil && r.Path == "a" {
		o.Size = 1 << 50
	}
	return o, err
}

func (boaster) Latest(context.Context, string) (string, error) { return "1.0", nil }

func (b boaster) PublishedSize(context.Context, manifest.Ref) (int64, error) { return b.published, nil }

// An absurd length is one entry's trouble: what it says of the disk is not to be
// believed, and the others are fetched.
func TestAnAbsurdLengthEndsNoPass(t *testing.T) {
	files := []lookalike.GeneratedFile{file("a", 1000), file("b", 1000), file("c", 1000)}
	for _, tt := range []struct {
		name      string
		published int64
		reason    failure.Reason
	}{
		{"the version is known to be smaller", 4000, failure.ReasonSize},
		{"nothing is known but the disk", 0, failure.ReasonNoSpace},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				objects := map[string][]byte{manifest.Name: []byte(sums(files...))}
				for _, f := range files {
					objects[f.Path] = content(t, f)
				}
				source := boaster{sourcetest.NewMemory(demo, objects), tt.published}
				r := newRig(t, rigOptions{sources: []host.Source{{Source: source, Budget: pace.NewBudget(2)}}})
				report := r.pull()
				wantFiles(t, report, store.Incomplete, store.Files{Total: 3, Fetched: 2, Failed: 1})
				if got := reasonOf(report, "a"); got != string(tt.reason) {
					t.Errorf("a failed by %q, want %q: %+v", got, tt.reason, report.Failures)
				}
				r.has(files[1:]...)
			})
		})
	}
}

// A file system without a limit has no room by its own account, as one that does not
// say, and all fits.
func TestAFileSystemThatDoesNotTellItsRoom(t *testing.T) {
	small, big := file("small", 1000), file("big", 2*mega)
	s := newSite(t, nil, project(small, big))
	r := newRig(t, rigOptions{site: s, dir: smallDisk(t, "size=0")})
	wantFiles(t, r.pull(), store.Complete, store.Files{Total: 2, Fetched: 2})
	r.has(small, big)
}
