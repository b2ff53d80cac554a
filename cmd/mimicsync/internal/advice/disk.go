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
		return Advice{ExitNoSpace, "make room on the disk of " + state.Path + ", or put the state on another one with --state DIR; what is verified is kept"}, true
	}
	if space, ok := errors.AsType[*failure.SpaceError](err); ok && space.Published > 0 {
		return Advice{ExitNoSpace, "make room and run the same command to go on, or fetch less with --include and --exclude;\n" +
			"if the published size is wrong, fetch all the same with: --include '**'"}, true
	}
	switch {
	case errors.As(err, new(*tree.SymlinkError)):
		return Advice{ExitUsage, "a mirror is one folder of real files on one disk: move all of it, with its .mimicsync, to the disk that the symlink\n" +
			"leads to, and name its new place with --mirror DIR"}, true
	case errors.Is(err, syscall.EDQUOT):
		return Advice{ExitNoSpace, "see your quota, with quota -s or as your cluster shows it: have it raised, or remove what you do not need;\n" +
			"then run the same command to go on, or fetch less with --include and --exclude"}, true
	case errors.Is(err, failure.ErrNoSpace), errors.Is(err, syscall.ENOSPC):
		return Advice{ExitNoSpace, "make room and run the same command to go on, or fetch less with --include and --exclude"}, true
	case errors.Is(err, syscall.EIO):
		return Advice{ExitUnexpected, "the disk fails, or what it hangs on: see what the system says with: dmesg; nothing that it lost counts as verified:\n" +
			"run the same command to go on once it is well, and then see what it has with: " + a.Command("verify", "--repair")}, true
	case errors.Is(err, syscall.EROFS):
		return Advice{ExitUnexpected, "the mirror's file system is mounted read-only: mount it for writing, or choose another folder with --mirror"}, true
	case errors.Is(err, fs.ErrPermission):
		return Advice{ExitUnexpected, "ask its owner for access, or name another folder with --mirror"}, true
	case errors.Is(err, store.ErrNoMemory):
		return Advice{ExitUnexpected, "let the process have more address space, as by ulimit -v unlimited: the state is mapped into memory, which takes as much\n" +
			"of it as the file is long"}, true
	case isOfDisk(err) && (errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.ESTALE) || errors.Is(err, syscall.ENOTCONN)):
		return Advice{ExitUnexpected, "the disk of the mirror, or the server that it is on, is gone or broken: see what the system says of it, with dmesg;\n" +
			"attach it, mount it again, and run the same command to go on: what was verified is kept"}, true
	case errors.Is(err, syscall.ENOTDIR):
		return Advice{ExitUnexpected, "a part of the mirror's path is a file: choose another folder with --mirror"}, true
	}
	return Advice{}, false
}

// isOfDisk reports whether an error is of a file or a folder: sockets have some of the
// same.
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
	look := fmt.Sprintf("see what it is and who put it there, with: ls -ld %s\nthen remove it, and run the same command again; what is verified stays", words.ShellQuote(failed.Path))
	mirror, _, inMirror := strings.Cut(failed.Path, string(filepath.Separator)+store.Dir)
	switch {
	case foreign.Owner != "" && inMirror:
		return Advice{ExitUnexpected, fmt.Sprintf("if %s looks after this mirror, run mimicsync as that user, or let the mirror's folder belong to that user, with: chown %s %s\nelse %s",
			foreign.Owner, words.ShellQuote(strings.TrimPrefix(foreign.Owner, "user ")), words.ShellQuote(mirror), look)}, true
	case strings.HasSuffix(failed.Path, "state.db"):
		look += "\nif the state is to lie elsewhere, name its folder with --state DIR"
	}
	return Advice{ExitUnexpected, look}, true
}
