//go:build linux

// Package faultdisk is a disk that fails when it is told to: for tests, and for the
// campaigns of bench/powercut. A loop device lies on the one file of a FUSE file system,
// which another process serves, so that no kernel module is needed and nobody waits for
// a disk that waits for him. What is written and flushed can be logged, to build the disk
// anew as a power cut leaves it, see Log.
//
// It needs root, /dev/fuse, a free loop device and the mkfs of the file system: where one
// is missing, Start returns an error that wraps ErrUnavailable.
package faultdisk

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrUnavailable means that this machine, or this user, cannot have such a disk.
var ErrUnavailable = errors.New("no disk in user space here")

// Faults are what a disk does wrong. The zero value does nothing wrong.
type Faults struct {
	Writes  int64 // so many writes fail; -1: all
	Reads   int64 // so many reads fail; -1: all
	Flushes int64 // so many flushes fail; -1: all
	// Match has writes and reads fail only where one of their blocks of 4 KiB begins
	// with it.
	Match string
	// Dead has everything fail, as when the disk was unplugged.
	Dead bool
	// Full has what fails fail with ENOSPC, as of a thin disk, and not with EIO.
	Full bool
}

// Stat counts what a disk was asked for since it was started.
type Stat struct {
	Writes, Flushes int64
	Failed          int64 // whatever failed
}

// Options say what disk to start.
type Options struct {
	// Dir is where its image, its log and its folders lie; it must exist and be empty.
	Dir string
	// FileSystem is ext4, xfs or btrfs.
	FileSystem string
	Size       int64
	// Log has all writes and flushes logged.
	Log bool
	// Server is a command that calls Serve, with its environment; started by Start.
	Server *exec.Cmd
}

// Disk is a mounted one. It is for one goroutine.
type Disk struct {
	o       Options
	mounted bool
	server  *exec.Cmd
	control *os.File
	encode  *json.Encoder
	decode  *json.Decoder
}

// settings are what the server is told by its environment.
type settings struct{ Image, Folder, Log string }

const environment = "MIMICSYNC_FAULTDISK"

// IsServer reports whether this process was started to call Serve.
func IsServer() bool { return os.Getenv(environment) != "" }

// request is what the server is asked, one line each; it answers with a Stat.
type request struct {
	Faults *Faults `json:",omitempty"` // from now on
	Mark   string  `json:",omitempty"` // for the log
}

var makers = map[string][]string{
	"ext4":  {"mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"},
	"xfs":   {"mkfs.xfs", "-q", "-f"},
	"btrfs": {"mkfs.btrfs", "-q", "-f"},
}

// Start makes a disk with an empty file system and mounts it. Close it.
func Start(o Options) (_ *Disk, err error) {
	if err := available(o.FileSystem); err != nil {
		return nil, err
	}
	d := &Disk{o: o}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	for _, dir := range []string{d.fuseDir(), d.Path()} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			return nil, err
		}
	}
	if err := format(o.FileSystem, d.Image(), o.Size); err != nil {
		return nil, err
	}
	if o.Log {
		if err := Copy(d.Base(), d.Image()); err != nil {
			return nil, err
		}
	}
	if err := d.serve(); err != nil {
		return nil, err
	}
	return d, d.Mount()
}

func available(fileSystem string) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: only root can mount it", ErrUnavailable)
	}
	if makers[fileSystem] == nil {
		return fmt.Errorf("%q is not ext4, xfs or btrfs", fileSystem)
	}
	for _, device := range []string{"/dev/fuse", "/dev/loop-control"} {
		if _, err := os.Stat(device); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	for _, program := range []string{makers[fileSystem][0], "losetup", "mount", "umount"} {
		if _, err := exec.LookPath(program); err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	return nil
}

// Copy makes a copy of an image that takes no more of the disk than it must.
func Copy(to, from string) error { return run("cp", "--sparse=always", from, to) }

// format makes an image with an empty file system.
func format(fileSystem, image string, size int64) error {
	f, err := os.OpenFile(image, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return err
	}
	return run(append(append([]string{}, makers[fileSystem]...), image)...)
}

// serve starts the server.
func (d *Disk) serve() error {
	ends, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	d.control = os.NewFile(uintptr(ends[0]), "disk")
	theirs := os.NewFile(uintptr(ends[1]), "disk's server")
	defer func() { _ = theirs.Close() }()
	s := settings{Image: d.Image(), Folder: d.fuseDir()}
	if d.o.Log {
		s.Log = d.LogFile()
	}
	told, err := json.Marshal(s)
	if err != nil {
		return err
	}
	d.server = d.o.Server
	d.server.Env = append(d.server.Environ(), environment+"="+string(told))
	d.server.ExtraFiles = []*os.File{theirs}
	if err := d.server.Start(); err != nil {
		d.server = nil
		return err
	}
	d.encode, d.decode = json.NewEncoder(d.control), json.NewDecoder(d.control)
	if _, err := d.ask(request{}); err != nil {
		return fmt.Errorf("%w: its server: %w", ErrUnavailable, err)
	}
	return nil
}

func (d *Disk) ask(r request) (s Stat, err error) {
	if err := d.encode.Encode(r); err != nil {
		return s, err
	}
	return s, d.decode.Decode(&s)
}

// Set says what goes wrong from now on.
func (d *Disk) Set(f Faults) error {
	_, err := d.ask(request{Faults: &f})
	return err
}

// Mark puts a word into the log.
func (d *Disk) Mark(text string) error {
	_, err := d.ask(request{Mark: text})
	return err
}

// Stat counts.
func (d *Disk) Stat() (Stat, error) { return d.ask(request{}) }

// Path is where the file system is mounted.
func (d *Disk) Path() string { return filepath.Join(d.o.Dir, "mnt") }

// Image is the file with the disk's bytes.
func (d *Disk) Image() string { return filepath.Join(d.o.Dir, "image") }

// Base is an image of the disk before the first record of LogFile, where there is a log.
func (d *Disk) Base() string { return filepath.Join(d.o.Dir, "base") }

// LogFile is for OpenLog, once the disk is closed.
func (d *Disk) LogFile() string { return filepath.Join(d.o.Dir, "log") }

func (d *Disk) fuseDir() string { return filepath.Join(d.o.Dir, "fuse") }

// Mount mounts it, after Unmount.
func (d *Disk) Mount() error {
	err := MountImage(d.o.FileSystem, filepath.Join(d.fuseDir(), diskName), d.Path())
	d.mounted = d.mounted || err == nil
	return err
}

// Unmount lets the kernel forget all that it knows of it: who mounts it again reads
// what the disk has.
func (d *Disk) Unmount() error {
	if !d.mounted {
		return nil
	}
	err := Unmount(d.Path())
	d.mounted = err != nil
	return err
}

// Close unmounts it and ends its server, if it has not done so. Its image and its log
// stay.
func (d *Disk) Close() error {
	var err error
	if d.encode != nil {
		_ = d.Set(Faults{}) // that its last writes do not wait for ever; it fails if the server is dead
		d.encode = nil
	}
	err = errors.Join(err, d.Unmount())
	if d.control != nil {
		_ = d.control.Close() // which ends the server
		d.control = nil
	}
	if d.server != nil {
		err = errors.Join(err, d.server.Wait())
		d.server = nil
	}
	return err
}

// MountImage mounts an image at a folder, until Unmount, by a loop device that goes with
// the mount.
func MountImage(fileSystem, image, folder string) error {
	out, err := exec.Command("losetup", "--direct-io=on", "--show", "-f", image).CombinedOutput() //nolint:gosec // as the caller says
	if err != nil {
		return fmt.Errorf("%w: losetup: %w: %s", ErrUnavailable, err, out)
	}
	loop := strings.TrimSpace(string(out))
	return errors.Join(run("mount", "-t", fileSystem, loop, folder), run("losetup", "-d", loop)) // while it is in use, it stays
}

// Unmount unmounts a folder, and waits a while for those who use it.
func Unmount(folder string) error {
	var err error
	for range 50 {
		if err = syscall.Unmount(folder, 0); !errors.Is(err, syscall.EBUSY) {
			return os.NewSyscallError("umount "+folder, err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	_ = syscall.Unmount(folder, syscall.MNT_DETACH) // the error says that somebody holds it
	return os.NewSyscallError("umount "+folder, err)
}

func run(command ...string) error {
	out, err := exec.Command(command[0], command[1:]...).CombinedOutput() //nolint:gosec // fixed programs
	if err != nil {
		return fmt.Errorf("%s: %w: %s", command[0], err, strings.TrimSpace(string(out)))
	}
	return nil
}
