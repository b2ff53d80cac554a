package store_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/store"
)

// smallDisk mounts a file system of 4 MiB.
func smallDisk(t *testing.T) string {
	t.Helper()
	return diskOf(t, "4m")
}

// diskOf mounts one of some size, "0" for one without a limit.
func diskOf(t *testing.T, size string) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount a small disk")
	}
	dir := t.TempDir()
	if err := syscall.Mount("mimicsync-test", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("cannot mount a small disk here: %v", err)
	}
	t.Cleanup(func() { must(t, syscall.Unmount(dir, 0)) })
	return dir
}

// fillDisk leaves some bytes of a disk free, and returns what frees the others.
func fillDisk(t *testing.T, dir string, free int64) (empty func()) {
	t.Helper()
	ballast := filepath.Join(dir, "ballast")
	_ = os.WriteFile(ballast, make([]byte, 4<<20), 0o600) // as much as there is room for
	fi, err := os.Stat(ballast)
	must(t, err)
	must(t, os.Truncate(ballast, fi.Size()-free))
	return func() { must(t, os.Remove(ballast)) }
}

// On a disk without a free byte the state can be read, so that a command can
// tell what is there and a daemon can wait for room. The owner leaves its name when it can.
func TestAStateOnAFullDiskIsOpened(t *testing.T) {
	dir := smallDisk(t)
	elsewhere := locate(t, dir, t.TempDir())
	synctest.Test(t, func(t *testing.T) {
		m := openMirror(t, locate(t, dir, ""))
		m.put(demo, "a")
		m.close()
		empty := fillDisk(t, dir, 0)
		m.open()
		if _, ok, err := m.Version(demo); !ok || err != nil {
			t.Errorf("Version on a full disk = %t, %v, want it", ok, err)
		}
		if _, err := store.Open(m.place, "another"); !errors.Is(err, store.ErrLocked) {
			t.Errorf("a second Open = %v, want ErrLocked", err)
		}
		if _, ok := store.OwnerOf(dir); ok {
			t.Error("the owner left its name on a full disk")
		}
		empty()
		time.Sleep(time.Minute)
		synctest.Wait()
		if owner, ok := store.OwnerOf(dir); !ok || owner.Command != "test" {
			t.Errorf("OwnerOf = %+v, %t with room again, want this process", owner, ok)
		}
		m.close()
		if _, ok := store.OwnerOf(dir); ok {
			t.Error("the owner's name is there after Close")
		}
	})

	// Another process with another state would not know of this one. It may be faster
	// when there is room again.
	synctest.Test(t, func(t *testing.T) {
		empty := fillDisk(t, dir, 0)
		m := openMirror(t, locate(t, dir, ""))
		if _, err := store.Open(elsewhere, "test"); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Open with a state outside of the full mirror = %v, want ENOSPC", err)
		}
		empty()
		faster, err := store.Open(elsewhere, "faster")
		must(t, err)
		if err := m.AwaitLoss(t.Context()); !errors.Is(err, store.ErrLocked) {
			t.Errorf("AwaitLoss = %v, want ErrLocked", err)
		}
		m.close()
		if owner, ok := store.OwnerOf(dir); !ok || owner.Command != "faster" {
			t.Errorf("OwnerOf = %+v, %t, want the faster one", owner, ok)
		}
		must(t, faster.Close())
	})
}

// A process is killed, and meanwhile the disk is full: the name that it left is
// replaced when there is room.
func TestADeadOwnersNameOnAFullDisk(t *testing.T) {
	dir := smallDisk(t)
	place := locate(t, dir, "")
	openMirror(t, place).close()
	elsewhere(t, dir, time.Hour)
	synctest.Test(t, func(t *testing.T) {
		empty := fillDisk(t, dir, 0)
		m := openMirror(t, place)
		time.Sleep(time.Hour)
		empty()
		time.Sleep(time.Minute)
		if owner, ok := store.OwnerOf(dir); !ok || owner.Command != "test" {
			t.Errorf("OwnerOf = %+v, %t with room again, want this process", owner, ok)
		}
		m.close()
	})
}

// A state file that was cut short when it was begun would be taken for a damaged
// one, even when there is room again.
func TestAStateIsNotBegunOnAFullDisk(t *testing.T) {
	for _, free := range []int64{0, 4 << 10, 8 << 10, 12 << 10, 64 << 10} {
		place := locate(t, smallDisk(t), "")
		empty := fillDisk(t, place.Mirror, free)
		_, err := store.Open(place, "test")
		if _, ok := errors.AsType[*store.Error](err); !ok || !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Open with %d bytes free = %v, want ENOSPC of the state file", free, err)
		}
		empty()
		openMirror(t, place)
	}
}

// A file system without a limit has no room by its own account, as one that does not say.
func TestAStateIsBegunWhereTheRoomIsUnknown(t *testing.T) {
	openMirror(t, locate(t, diskOf(t, "0"), ""))
}
