package downloader_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/tree"
	"mimicsync/internal/faultdisk"
	"mimicsync/manifest"
	"mimicsync/store"
)

func TestFaultDiskServer(t *testing.T) {
	if !faultdisk.IsServer() {
		t.Skip("runs only as the child of the tests of disks that fail")
	}
	must(t, faultdisk.Serve())
}

// smallDisk mounts a file system of its own for a mirror.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a small disk")
	}
	dir := t.TempDir()
	if err := syscall.Mount("mimicsync-test", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("cannot mount a small disk here: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	return dir
}

// badDisk is an ext4 disk that fails on demand; bench/powercut has the other file
// systems.
func badDisk(t *testing.T) *faultdisk.Disk {
	t.Helper()
	slow(t)
	self, err := os.Executable()
	must(t, err)
	d, err := faultdisk.Start(faultdisk.Options{
		Dir: t.TempDir(), FileSystem: "ext4", Size: 64 << 20, Server: exec.Command(self, "-test.run=^TestFaultDiskServer$"),
	})
	if errors.Is(err, faultdisk.ErrUnavailable) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

// tagged is a file each of whose blocks begins with LOST, so that a disk can lose it.
func tagged(path string, size int) lookalike.GeneratedFile {
	b := bytes.Repeat(append([]byte("LOST"+path), make([]byte, 4092-len(path))...), size/4096+1)[:size]
	for at := 8; at+8 < size; at += 4096 {
		b[at+len(path)] = byte(at >> 12) // no two blocks are alike
	}
	return lookalike.GeneratedFile{Path: path, Size: int64(size), Data: b}
}

// remount is what a machine reads after its next start.
func (r *rig) remount(d *faultdisk.Disk) {
	r.t.Helper()
	r.close()
	must(r.t, d.Unmount())
	must(r.t, d.Mount())
	r.open()
}

// onDisk counts the partials that the disk has whole, and leaves the page cache as it
// is.
func (r *rig) onDisk(files []lookalike.GeneratedFile) (n int) {
	r.t.Helper()
	b, err := unix.Mmap(-1, 0, 64<<10, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE) // at the start of a page
	must(r.t, err)
	defer func() { must(r.t, unix.Munmap(b)) }()
	for _, f := range files {
		fd, err := unix.Open(filepath.Join(r.dir, store.Dir, "partial", manifest.Digest(sha256.Sum256(f.Data)).String()), unix.O_RDONLY|unix.O_DIRECT, 0)
		if errors.Is(err, unix.ENOENT) {
			continue
		}
		must(r.t, err)
		got, err := unix.Read(fd, b)
		if errors.Is(err, unix.EIO) { // what became of the writes is told to the first who asks
			got, err = unix.Read(fd, b)
		}
		must(r.t, errors.Join(err, unix.Close(fd)))
		if bytes.Equal(b[:got], f.Data) {
			n++
		}
	}
	return n
}

// For a moment, some of what is written does not come to the disk. The page cache shows
// it all the same, and takes it for written. The next process, and the next pass of this
// one, take nothing for verified that is not on the disk, and fetch only what is not.
func TestADiskThatDoesNotKeepWhatItWasGiven(t *testing.T) {
	for name, tt := range map[string]struct {
		durability, then tree.Durability
		again            bool // the same process goes on, as a daemon
		lost             int64
	}{
		"all at once":                 {tree.GroupDurability, tree.GroupDurability, false, 15},
		"each file":                   {tree.FileDurability, tree.FileDurability, false, 15},
		"all at once, in a daemon":    {tree.GroupDurability, tree.GroupDurability, true, 4},
		"each file, in a daemon":      {tree.FileDurability, tree.FileDurability, true, 4},
		"nothing of what was given":   {tree.GroupDurability, tree.GroupDurability, false, -1},
		"all at once, then each file": {tree.GroupDurability, tree.FileDurability, false, -1},
	} {
		t.Run(name, func(t *testing.T) {
			d := badDisk(t)
			var files []lookalike.GeneratedFile
			for i := range 60 {
				files = append(files, tagged(fmt.Sprintf("notes/%02d.txt", i), 3000+i))
			}
			s := newSite(t, nil, project(files...))
			dir := filepath.Join(d.Path(), "m")
			must(t, os.Mkdir(dir, 0o700))
			r := newRig(t, rigOptions{site: s, dir: dir, tree: tree.Options{Durability: tt.durability}})
			must(t, d.Set(faultdisk.Faults{Writes: tt.lost, Match: "LOST"}))
			if _, err := r.tryPull(t.Context()); !errors.Is(err, syscall.EIO) {
				t.Fatalf("Pull on a disk that fails = %v, want EIO", err)
			}
			must(t, d.Set(faultdisk.Faults{}))
			kept := r.onDisk(files)
			if kept == len(files) {
				t.Fatalf("the disk has all of the %d files, in spite of its failures", kept)
			}
			if r.options.tree.Durability = tt.then; !tt.again {
				r.reopen()
			}
			s.Reset()
			report := r.pull()
			if report.State != store.Complete || report.Files.Fetched+report.Files.Adopted+report.Files.Present != 60 {
				t.Errorf("the pull after: %+v", report.Files)
			}
			if got := s.Counters().Files; got != int64(len(files)-kept) {
				t.Errorf("%d files were asked for again, want the %d that the disk had not", got, len(files)-kept)
			}
			if q, err := tree.QuarantineOf(r.dir, demo); err != nil || q.Files > 0 {
				t.Errorf("in quarantine are %+v, %v, want nothing: it was all ours", q, err)
			}
			r.remount(d)
			r.has(files...)
			if v := r.verify(); v.Verified != 60 || v.Failed() > 0 {
				t.Errorf("after a remount: %+v, want all right", v)
			}
		})
	}
}

// A checkpoint of a big file fails. What had been synced before stays, the rest comes
// again, although the page cache has it.
func TestACheckpointThatFails(t *testing.T) {
	d := badDisk(t)
	big := tagged("big.bin", 20*mega)
	s := newSite(t, nil, project(big))
	line := s.throttle(8 * mega)
	dir := filepath.Join(d.Path(), "m")
	must(t, os.Mkdir(dir, 0o700))
	r := newRig(t, rigOptions{site: s, dir: dir, connections: 1})
	var synced atomic.Bool
	r.syncer.SetReached(func(point string) {
		if point == "partials recorded" && synced.Load() {
			if err := d.Set(faultdisk.Faults{Writes: -1, Match: "LOST"}); err != nil {
				t.Error(err)
			}
		}
		synced.Store(s.Counters().BytesSent > 2*mega)
	})
	if _, err := r.tryPull(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Fatalf("Pull on a disk that fails = %v, want EIO", err)
	}
	r.syncer.SetReached(nil)
	line.Remove()
	must(t, d.Set(faultdisk.Faults{}))
	partial, _ := r.partialOf()
	if partial.Durable == 0 || partial.Durable >= 18*mega {
		t.Fatalf("the partial is %+v, want some of it durable", partial)
	}
	r.reopen()
	s.Reset()
	report := r.pull()
	wantFiles(t, report, store.Complete, store.Files{Total: 1, Fetched: 1})
	if got, want := s.Counters().BytesSent, big.Size-partial.Durable; got > want+128<<10 {
		t.Errorf("%d bytes were fetched, want the %d that were not durable", got, want)
	}
	r.remount(d)
	r.has(big)
}

// Sectors of the disk cannot be read any more: under two files, one of which has another
// name in the next version, and under half a big one. They are moved aside, which takes
// no reading, and fetched.
func TestBadSectors(t *testing.T) {
	for name, verified := range map[string]bool{"verify finds them": true, "a pull meets them": false} {
		t.Run(name, func(t *testing.T) {
			d := badDisk(t)
			good, bad, twin := file("good", 5000), tagged("bad", 9000), tagged("twin", 70_000)
			half := tagged("big half", 3*mega)
			s := newSite(t, nil, versions([]lookalike.GeneratedFile{good, bad, twin, half}, []lookalike.GeneratedFile{bad, twin}))
			dir := filepath.Join(d.Path(), "m")
			must(t, os.Mkdir(dir, 0o700))
			r := newRig(t, rigOptions{site: s, dir: dir, connections: 1})
			r.pull("good", "bad", "twin")
			_, err := r.run(t.Context(), demo2, new(progress.Progress))
			must(t, err)
			line := s.throttle(4 * mega)
			r.interrupt(mega)
			line.Remove()
			r.remount(d)
			if !verified { // nobody knows them
				must(t, os.Chtimes(r.path("bad"), time.Now(), time.Now()))
				must(t, os.Chtimes(r.path("twin"), time.Now(), time.Now()))
			}
			must(t, d.Set(faultdisk.Faults{Reads: -1, Match: "LOST"}))
			if verified {
				if v := r.verify(); v.Unreadable != 2 || v.Verified != 1 {
					t.Errorf("Verify = %+v, want two that cannot be read", v)
				}
			}
			report := r.pull()
			must(t, d.Set(faultdisk.Faults{}))
			if report.State != store.Complete || report.Files.Fetched != 3 || len(report.Quarantined) < 2 {
				t.Errorf("the pull after = %+v, moved aside %v, want three files fetched, and those here moved aside", report.Files, report.Quarantined)
			}
			r.has(good, bad, twin, half)
			if r.quarantined("bad") == nil || r.quarantined("twin") == nil {
				t.Error("what cannot be read is not in quarantine")
			}
			report, err = r.run(t.Context(), demo2, new(progress.Progress))
			must(t, err)
			if report.State != store.Complete || report.Files.Failed > 0 {
				t.Errorf("the pull of the version with the same files = %+v", report.Files)
			}
		})
	}
}
