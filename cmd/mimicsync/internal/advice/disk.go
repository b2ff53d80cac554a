package advice

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/tree"
	"mimicsync/store"
)

func (a Adviser) adviseDisk(err error) (Advice, bool) {
	if state, ok := errors.AsType[*store.Error](err); ok && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
		return Advice{ExitNoSpace, "free space on the disk of " + state.Path + ", or put the state on another disk with --state DIR; verified files stay"}, true
	}
	if space, ok := errors.AsType[*failure.SpaceError](err); ok && space.Published > 0 {
		return Advice{ExitNoSpace, "free some space and run the same command to continue, or fetch less with --include and --exclude;\n" +
			"if the published size is wrong, fetch anyway with: --include '**'"}, true
	}
	switch {
	case errors.As(err, new(*tree.SymlinkError)):
		return Advice{ExitUsage, "a mirror is one folder of real files on one disk: move all of it, including .mimicsync, to the disk that the symlink\n" +
			"points to, and name the new folder with --mirror DIR"}, true
	case errors.Is(err, syscall.EDQUOT):
		return Advice{ExitNoSpace, "check your quota, with quota -s or your cluster's own command; raise it, or remove what you don't need;\n" +
			"then run the same command to continue, or fetch less with --include and --exclude"}, true
	case errors.Is(err, failure.ErrNoSpace), errors.Is(err, syscall.ENOSPC):
		return Advice{ExitNoSpace, "free some space and run the same command to continue, or fetch less with --include and --exclude"}, true
	case errors.Is(err, syscall.EIO):
		return Advice{ExitIncomplete, "the disk or its connection is failing; see: dmesg. Lost data doesn't count as verified:\n" +
			"once the disk works, run the same command to continue, then check the mirror with: " + a.Command("verify", "--repair")}, true
	case errors.Is(err, syscall.EROFS):
		return Advice{ExitUsage, "the mirror's file system is mounted read-only: remount it for writing, or choose another folder with --mirror"}, true
	case errors.Is(err, fs.ErrPermission):
		return Advice{ExitUsage, "ask its owner for access, or name another folder with --mirror"}, true
	case errors.Is(err, store.ErrNoMemory):
		return Advice{ExitUsage, "allow the process more address space, for example with ulimit -v unlimited: the state file is mapped into memory and\n" +
			"takes as much address space as the file is long"}, true
	case isOfDisk(err) && (errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.ESTALE) || errors.Is(err, syscall.ENOTCONN)):
		return Advice{ExitIncomplete, "the disk of the mirror, or its file server, is gone or broken; see: dmesg;\n" +
			"reconnect and remount it, then run the same command to continue: verified files stay"}, true
	case errors.Is(err, syscall.ENOTDIR):
		return Advice{ExitUsage, "a part of the mirror's path is a file: choose another folder with --mirror"}, true
	}
	return Advice{}, false
}

// isOfDisk reports whether an error is about a file or a folder: sockets have some of the
// same errors.
func isOfDisk(err error) bool {
	var path *fs.PathError
	var link *os.LinkError
	var call *os.SyscallError
	var state *store.Error
	var op *net.OpError
	return !errors.As(err, &op) && (errors.As(err, &path) || errors.As(err, &link) || errors.As(err, &call) || errors.As(err, &state))
}

// adviseForeign is about what others may have put into a mirror.
func (a Adviser) adviseForeign(err error) (Advice, bool) {
	foreign, ok := errors.AsType[*store.ForeignError](err)
	failed, named := errors.AsType[*fs.PathError](err)
	if !ok || !named {
		return Advice{}, false
	}
	look := fmt.Sprintf("find out what it is and who put it there, with: ls -ld %s\nthen remove it, and run the same command again; verified files stay", words.ShellQuote(failed.Path))
	mirror, _, inMirror := strings.Cut(failed.Path, string(filepath.Separator)+store.Dir)
	switch {
	case foreign.Owner != "" && inMirror:
		return Advice{ExitUsage, fmt.Sprintf("if %s maintains this mirror, run mimicsync as that user, or give that user the mirror's folder, with: chown %s %s\notherwise %s",
			foreign.Owner, words.ShellQuote(strings.TrimPrefix(foreign.Owner, "user ")), words.ShellQuote(mirror), look)}, true
	case strings.HasSuffix(failed.Path, "state.db"):
		look += "\nto keep the state elsewhere, name its folder with --state DIR"
	}
	return Advice{ExitUsage, look}, true
}
