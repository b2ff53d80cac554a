//go:build linux

package faultdisk

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
)

// diskName is the name of the one file.
const diskName = "disk"

// Serve serves a disk until Disk.Close: what the process does that Options.Server starts.
func Serve() error {
	var s settings
	if err := json.Unmarshal([]byte(os.Getenv(environment)), &s); err != nil {
		return fmt.Errorf("%s: %w", environment, err)
	}
	control := os.NewFile(3, "disk") // the first of exec.Cmd.ExtraFiles
	image, err := os.OpenFile(s.Image, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = image.Close() }() // the page cache has it
	fi, err := image.Stat()
	if err != nil {
		return err
	}
	n := &node{image: image, size: fi.Size()}
	if s.Log != "" {
		log, err := os.OpenFile(s.Log, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return err
		}
		n.log = bufio.NewWriterSize(log, 1<<20)
		defer func() { _ = errors.Join(n.log.Flush(), log.Close()) }() // a short log is found out by who reads it
	}
	mount, err := fs.Mount(s.Folder, &root{disk: n}, &fs.Options{
		NullPermissions: true, // it is root's alone
		MountOptions:    fuse.MountOptions{DirectMountStrict: true, MaxWrite: 512 << 10, MaxBackground: 64, FsName: "faultdisk", Name: "faultdisk"},
	})
	if err != nil {
		return err
	}
	err = n.obey(control)
	var busy error
	for range 50 { // the loop device lets go of it a moment after its disk was unmounted
		if busy = mount.Unmount(); busy == nil {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	return errors.Join(err, busy)
}

// obey does what requests say, until there are no more.
func (n *node) obey(control io.ReadWriter) error {
	decode, encode := json.NewDecoder(control), json.NewEncoder(control)
	for {
		var r request
		if err := decode.Decode(&r); errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
			return nil
		} else if err != nil {
			return err
		}
		n.mu.Lock()
		if r.Faults != nil {
			n.faults = *r.Faults
		}
		if r.Mark != "" {
			n.record(opMark, 0, []byte(r.Mark))
		}
		stat := n.stat
		n.mu.Unlock()
		if err := encode.Encode(stat); err != nil {
			return err
		}
	}
}

// root is the folder with the one file.
type root struct {
	fs.Inode

	disk *node
}

// OnAdd makes the file.
func (r *root) OnAdd(ctx context.Context) {
	r.AddChild(diskName, r.NewPersistentInode(ctx, r.disk, fs.StableAttr{Mode: syscall.S_IFREG, Ino: 2}), true)
}

// node is the file: the disk.
type node struct {
	fs.Inode

	image *os.File
	size  int64

	mu     sync.Mutex // guards what follows, and keeps the log in the order of the image
	log    *bufio.Writer
	faults Faults
	stat   Stat
}

var (
	_ fs.NodeOpener    = (*node)(nil)
	_ fs.NodeGetattrer = (*node)(nil)
	_ fs.NodeSetattrer = (*node)(nil)
	_ fs.NodeReader    = (*node)(nil)
	_ fs.NodeWriter    = (*node)(nil)
	_ fs.NodeFsyncer   = (*node)(nil)
	_ fs.NodeFlusher   = (*node)(nil)
	_ fs.NodeAllocater = (*node)(nil)
)

// Open has no page cache in between.
func (n *node) Open(context.Context, uint32) (fs.FileHandle, uint32, syscall.Errno) {
	return nil, fuse.FOPEN_DIRECT_IO, 0
}

// Getattr tells the size.
func (n *node) Getattr(_ context.Context, _ fs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	out.Mode, out.Size, out.Blksize, out.Blocks = syscall.S_IFREG|0o600, uint64(n.size), 4096, uint64(n.size)/512 //nolint:gosec // of a disk
	return 0
}

// Setattr changes nothing.
func (n *node) Setattr(ctx context.Context, f fs.FileHandle, _ *fuse.SetAttrIn, out *fuse.AttrOut) syscall.Errno {
	return n.Getattr(ctx, f, out)
}

func (n *node) Read(_ context.Context, _ fs.FileHandle, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	n.mu.Lock()
	defer n.mu.Unlock()
	got, err := n.image.ReadAt(dest, off)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, syscall.EIO
	}
	if errno := n.fails(&n.faults.Reads, dest[:got]); errno != 0 {
		return nil, errno
	}
	return fuse.ReadResultData(dest[:got]), 0
}

func (n *node) Write(_ context.Context, _ fs.FileHandle, b []byte, off int64) (uint32, syscall.Errno) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stat.Writes++
	if errno := n.fails(&n.faults.Writes, b); errno != 0 {
		return 0, errno
	}
	if off+int64(len(b)) > n.size {
		return 0, syscall.ENOSPC
	}
	if _, err := n.image.WriteAt(b, off); err != nil {
		return 0, syscall.EIO
	}
	n.record(opWrite, off, b)
	return uint32(len(b)), 0 //nolint:gosec // at most MaxWrite
}

// Fsync is a flush of the disk's cache.
func (n *node) Fsync(context.Context, fs.FileHandle, uint32) syscall.Errno {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.stat.Flushes++
	if errno := n.fails(&n.faults.Flushes, nil); errno != 0 {
		return errno
	}
	n.record(opFlush, 0, nil)
	return 0
}

// Flush is a close(2), which says nothing to a disk.
func (n *node) Flush(context.Context, fs.FileHandle) syscall.Errno { return 0 }

// Allocate is not for disks.
func (n *node) Allocate(context.Context, fs.FileHandle, uint64, uint64, uint32) syscall.Errno {
	return syscall.EOPNOTSUPP
}

// fails decides whether what is asked for fails, and counts. The caller holds n.mu.
func (n *node) fails(left *int64, b []byte) syscall.Errno {
	if !n.faults.Dead {
		if *left == 0 || b != nil && !matches(b, n.faults.Match) {
			return 0
		}
		if *left > 0 {
			*left--
		}
	}
	n.stat.Failed++
	if n.faults.Full {
		return syscall.ENOSPC
	}
	return syscall.EIO
}

// matches reports whether a block of b begins with a text.
func matches(b []byte, text string) bool {
	const block = 4096
	for at := 0; at+len(text) <= len(b); at += block {
		if string(b[at:at+len(text)]) == text {
			return true
		}
	}
	return text == ""
}

// record logs. The caller holds n.mu.
func (n *node) record(kind op, off int64, b []byte) {
	if n.log != nil {
		writeOp(n.log, kind, off, b) // what a full disk makes of it is found out by who reads it
	}
}
