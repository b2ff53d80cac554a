//go:build linux

package faultdisk_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"mimicsync/internal/durable"
	"mimicsync/internal/faultdisk"
)

func TestMain(m *testing.M) {
	if !faultdisk.IsServer() {
		os.Exit(m.Run())
	}
	if err := faultdisk.Serve(); err != nil {
		println(err.Error())
		os.Exit(1)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func start(t *testing.T, fileSystem string, size int64) *faultdisk.Disk {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	d, err := faultdisk.Start(faultdisk.Options{
		Dir: t.TempDir(), FileSystem: fileSystem, Size: size, Log: true, Server: exec.Command(self),
	})
	if errors.Is(err, faultdisk.ErrUnavailable) {
		t.Skip(err)
	}
	must(t, err)
	t.Cleanup(func() { must(t, d.Close()) })
	return d
}

var disks = map[string]int64{"ext4": 32 << 20, "xfs": 320 << 20, "btrfs": 128 << 20}

// What cannot be written is told once to each file that was open, and the page cache
// goes on to show it, until Forget.
func TestThePageCacheShowsWhatTheDiskLacks(t *testing.T) {
	for fileSystem, size := range disks {
		t.Run(fileSystem, func(t *testing.T) {
			d := start(t, fileSystem, size)
			folder, err := os.Open(d.Path())
			must(t, err)
			defer func() { must(t, folder.Close()) }()
			must(t, durable.SyncFS(folder))
			must(t, d.Set(faultdisk.Faults{Writes: -1, Match: "LOST"}))
			name := filepath.Join(d.Path(), "a")
			lost := bytes.Repeat([]byte("LOST in the power supply of bay 4\n"), 200)
			must(t, os.WriteFile(name, lost, 0o600))
			f, err := os.Open(name)
			must(t, err)
			defer func() { must(t, f.Close()) }()

			if err := durable.SyncFS(folder); !errors.Is(err, syscall.EIO) {
				t.Errorf("SyncFS = %v, want EIO", err)
			}
			must(t, durable.SyncFS(folder)) // it is told once
			if err := durable.SyncData(f); !errors.Is(err, syscall.EIO) {
				t.Errorf("SyncData of the file = %v, want EIO", err)
			}
			must(t, d.Set(faultdisk.Faults{}))
			if b, err := os.ReadFile(name); err != nil || !bytes.Equal(b, lost) {
				t.Logf("the page cache has forgotten what it could not write: %v", err)
			}
			durable.Forget(f)
			if b, err := os.ReadFile(name); err != nil || bytes.Equal(b, lost) {
				t.Errorf("after Forget it reads %d bytes as if they were on the disk, %v", len(b), err)
			}
		})
	}
}

// A disk of sectors that cannot be read, one that is gone, one that is full.
func TestFaults(t *testing.T) {
	d := start(t, "ext4", disks["ext4"])
	name := filepath.Join(d.Path(), "a")
	must(t, os.WriteFile(name, []byte("here"), 0o600))
	must(t, d.Unmount())
	must(t, d.Mount())
	must(t, d.Set(faultdisk.Faults{Reads: -1, Match: "here"}))
	if _, err := os.ReadFile(name); !errors.Is(err, syscall.EIO) || !durable.IsUnreadable(err) {
		t.Errorf("reading a bad sector = %v, want EIO", err)
	}
	before, err := d.Stat()
	must(t, err)
	must(t, d.Set(faultdisk.Faults{Writes: 1, Full: true, Match: "more"}))
	f, err := os.Create(filepath.Join(d.Path(), "b"))
	must(t, err)
	_, err = f.WriteString("more than fits")
	must(t, err)
	if err := f.Sync(); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("sync on a full thin disk = %v, want ENOSPC", err)
	}
	must(t, f.Close())
	must(t, d.Set(faultdisk.Faults{Dead: true}))
	if err := os.WriteFile(filepath.Join(d.Path(), "c"), []byte("gone"), 0o600); err == nil {
		unix.Sync()
	}
	must(t, d.Set(faultdisk.Faults{}))
	if after, err := d.Stat(); err != nil || after.Failed <= before.Failed {
		t.Errorf("Stat = %+v, %v, want more failures than %d", after, err, before.Failed)
	}
}

// The log makes any earlier state of the disk anew.
func TestALogIsReplayed(t *testing.T) {
	dir := t.TempDir()
	d := start(t, "ext4", disks["ext4"])
	must(t, d.Unmount())
	must(t, d.Mount())
	for _, name := range []string{"one", "two"} {
		must(t, d.Mark("before "+name))
		f, err := os.Create(filepath.Join(d.Path(), name))
		must(t, err)
		_, err = f.WriteString(strings.Repeat(name, 1000))
		must(t, err)
		must(t, f.Sync())
		must(t, f.Close())
		must(t, durable.SyncDir(d.Path()))
	}
	must(t, d.Close())
	l, err := faultdisk.OpenLog(d.LogFile())
	must(t, err)
	defer func() { must(t, l.Close()) }()
	if len(l.Marks) != 2 || l.Marks[1].Text != "before two" || l.Marks[1].Op <= l.Marks[0].Op {
		t.Fatalf("marks = %+v, want two, in order", l.Marks)
	}
	image, err := os.OpenFile(d.Base(), os.O_RDWR, 0)
	must(t, err)
	flushes := 0
	for _, o := range l.Ops[:l.Marks[1].Op] {
		if o.Flush {
			flushes++
		}
		must(t, l.Apply(image, o, 512, nil))
	}
	must(t, image.Close())
	if flushes == 0 {
		t.Error("no flush in the log")
	}
	folder := filepath.Join(dir, "mnt")
	must(t, os.Mkdir(folder, 0o700))
	must(t, faultdisk.MountImage("ext4", d.Base(), folder))
	defer func() { must(t, faultdisk.Unmount(folder)) }()
	if b, err := os.ReadFile(filepath.Join(folder, "one")); err != nil || string(b) != strings.Repeat("one", 1000) {
		t.Errorf("the file before the cut = %d bytes, %v", len(b), err)
	}
	if _, err := os.Stat(filepath.Join(folder, "two")); err == nil {
		t.Error("the file after the cut is there")
	}
}
