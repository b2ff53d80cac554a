package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"mimicsync/daemon/api"
	"mimicsync/downloader"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// Exit codes, see DESIGN 6. They are a contract with scripts.
const (
	exitOK          = 0
	exitUnexpected  = 1
	exitUsage       = 2
	exitIncomplete  = 3
	exitAccess      = 4
	exitIntegrity   = 5
	exitNoSpace     = 6
	exitOwned       = 7
	exitInterrupted = 130
)

// worse returns the code that tells more of two: where several apply it is 6,
// 4, 5, 3 in that order.
func worse(a, b int) int {
	for _, code := range []int{exitInterrupted, exitNoSpace, exitAccess, exitIntegrity, exitIncomplete, exitOwned, exitUsage, exitUnexpected} {
		if a == code || b == code {
			return code
		}
	}
	return exitOK
}

// usageError is about the command line.
type usageError struct {
	err  error
	hint string // empty: to see the help of the command
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{err: fmt.Errorf(format, args...)}
}

// configError is about the configuration: the file, the environment, netrc.
type configError struct{ err error }

func (e *configError) Error() string { return e.err.Error() }
func (e *configError) Unwrap() error { return e.err }

// noMirrorError means that a command that only reads found no mirror.
type noMirrorError struct{ path string }

func (e *noMirrorError) Error() string { return "there is no mirror in " + e.path }

// unknownHereError means that the mirror has nothing of a dataset.
type unknownHereError struct{ ref manifest.Ref }

func (e *unknownHereError) Error() string { return "the mirror has nothing of " + e.ref.String() }

// advice is what a person is told about an error.
type advice struct {
	code int
	hint string // what to do next; empty where the message says it
}

// advise finds out what a person can do about an error.
func advise(err error) advice {
	for _, try := range []func(error) (advice, bool){adviseForeign, adviseOwner, adviseUsage, adviseDaemon, adviseAccess, adviseState, adviseDisk, adviseNetwork} {
		if a, ok := try(err); ok {
			return a
		}
	}
	return advice{code: exitUnexpected}
}

// adviseClient is advise for who asked a daemon.
func adviseClient(err error) (exitCode int, hint string) {
	a := advise(err)
	return a.code, a.hint
}

func adviseUsage(err error) (advice, bool) {
	var usage *usageError
	var config *configError
	var none *noMirrorError
	var unknown *unknownHereError
	switch {
	case errors.Is(err, manifest.ErrBadRef):
		return advice{exitUsage, "see the names with: mimicsync datasets"}, true
	case errors.As(err, &usage):
		return advice{exitUsage, usage.hint}, true
	case errors.As(err, &config), errors.Is(err, failure.ErrSources), errors.Is(err, failure.ErrKept):
		return advice{exitUsage, ""}, true
	case errors.Is(err, failure.ErrNothingSelected):
		return advice{exitUsage, "correct --include and --exclude, or include and exclude of the configuration: with a slash, a pattern must match the\n" +
			"whole path, as 'hosp/**' does; the paths are in SHA256SUMS.txt, which a pull puts into the version's folder"}, true
	case errors.As(err, &none):
		return advice{exitUsage, "name its folder with --mirror DIR, or make one with: mimicsync pull DATASET --mirror " + none.path}, true
	case errors.As(err, &unknown):
		return advice{exitUsage, "see what it has with: mimicsync status"}, true
	}
	if cost, ok := errors.AsType[*downloader.CostError](err); ok {
		return advice{exitUsage, "add a source that costs nothing behind it, as in --source " + cost.Source + ",physionet, which is used when the money is spent;\n" +
			"or raise --max-cost, or fetch less with --include and --exclude; compare with: mimicsync plan " + cost.Ref.String()}, true
	}
	return advice{}, false
}

// adviseOwner is about what the daemon that owns the mirror said.
func adviseOwner(err error) (advice, bool) {
	if ended, ok := errors.AsType[*passError](err); ok {
		return advice{ended.code, ended.cure}, true
	}
	if refused, ok := errors.AsType[*api.Error](err); ok {
		code := exitUnexpected
		switch {
		case refused.ExitCode != 0:
			code = refused.ExitCode
		case refused.Code == http.StatusLocked:
			code = exitOwned
		case refused.Code < http.StatusInternalServerError:
			code = exitUsage
		}
		return advice{code, refused.Hint}, true
	}
	if errors.Is(err, api.ErrSilent) {
		return advice{exitOwned, "if the daemon runs it is stuck: see its log, and start it again; if it does not, see what listens there, and remove the socket"}, true
	}
	if errors.Is(err, api.ErrEnded) {
		return advice{exitInterrupted, "what has come is saved: start it again, or run the same command to go on without it"}, true
	}
	if errors.Is(err, api.ErrNoDaemon) {
		return advice{exitUsage, "start one with: mimicsync daemon; or name its mirror with --mirror DIR"}, true
	}
	return advice{}, false
}

func adviseAccess(err error) (advice, bool) {
	access, ok := errors.AsType[*source.AccessError](err)
	if !ok {
		return advice{}, false
	}
	code := exitAccess
	if access.Denial == source.Moved {
		code = exitUsage
	}
	return advice{code, inLines(accessCure(access))}, true
}

func inLines(steps []step) string {
	var lines []string
	for _, step := range steps {
		lines = append(lines, step.String())
	}
	return strings.Join(lines, "\n")
}

func adviseState(err error) (advice, bool) {
	if away, ok := errors.AsType[*awayError](err); ok {
		return advice{exitUnexpected, away.cure()}, true
	}
	if shrunk, ok := errors.AsType[*failure.ShrunkError](err); ok {
		return advice{exitUnexpected, "see on the page of the version whether that is meant, and then accept it with: mimicsync pull " + shrunk.Ref.String() + " --accept-manifest"}, true
	}
	if lost, ok := errors.AsType[*failure.KeptManifestError](err); ok {
		return advice{exitIntegrity, "fetch it again with: mimicsync pull " + lost.Ref.String() +
			"\nif that version is published no more, move its SHA256SUMS.txt away, if there is one, and make a state without it: mimicsync verify --rebuild"}, true
	}
	if _, ok := errors.AsType[*secondDaemonError](err); ok {
		return advice{exitOwned, "it runs already; see: mimicsync status"}, true
	}
	switch {
	case errors.Is(err, store.ErrLocked):
		a := advice{exitOwned, "wait until it ends, or stop it; its state is saved at any moment"}
		locked, ok := errors.AsType[*store.LockedError](err)
		switch {
		case !ok || locked.Owner.PID == 0:
		case !locked.Owner.Here():
			a.hint = fmt.Sprintf("wait until it ends, or stop it on %s with: kill %d   (its state is saved)", locked.Owner.Host, locked.Owner.PID)
		case locked.Owner.Command == daemonOwner: // which does not end by itself
			a.hint = fmt.Sprintf("the daemon must rest for this: stop it with: kill %d, or as a service with: systemctl stop mimicsync   (its state is saved);\nstart it again afterwards", locked.Owner.PID)
		default:
			a.hint = fmt.Sprintf("wait until it ends, or stop it with: kill %d   (its state is saved)", locked.Owner.PID)
		}
		return a, true
	case errors.Is(err, store.ErrNewerSchema):
		return advice{exitUnexpected, "use that newer mimicsync; nothing was changed"}, true
	case errors.Is(err, store.ErrDamaged):
		return advice{exitUnexpected, "make a new state from the mirror; no data is lost and none is fetched again: mimicsync verify --rebuild"}, true
	case errors.Is(err, failure.ErrNoManifest):
		return advice{exitUsage, "fetch it with: mimicsync pull"}, true
	case errors.Is(err, source.ErrNotPublished), errors.Is(err, failure.ErrManifestChanges):
		return advice{exitIncomplete, "run the same command again in some minutes; a daemon does so by itself"}, true
	case errors.Is(err, failure.ErrManifest):
		return advice{exitIncomplete, "this is for the source to mend; try again later: what is in the mirror stays as it is"}, true
	case errors.Is(err, failure.ErrInterrupted), errors.Is(err, context.Canceled):
		return advice{exitInterrupted, "run the same command to go on"}, true
	case errors.Is(err, failure.ErrLimit):
		return advice{exitIncomplete, "run the same command again to go on"}, true
	}
	return advice{}, false
}

func adviseDisk(err error) (advice, bool) {
	if state, ok := errors.AsType[*store.Error](err); ok && (errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)) {
		return advice{exitNoSpace, "make room on the disk of " + state.Path + ", or put the state on another one with --state DIR; what is verified is kept"}, true
	}
	if space, ok := errors.AsType[*failure.SpaceError](err); ok && space.Published > 0 {
		return advice{exitNoSpace, "make room and run the same command to go on, or fetch less with --include and --exclude;\n" +
			"if the published size is wrong, fetch all the same with: --include '**'"}, true
	}
	switch {
	case errors.As(err, new(*tree.SymlinkError)):
		return advice{exitUsage, "a mirror is one folder of real files on one disk: move all of it, with its .mimicsync, to the disk that the symlink\n" +
			"leads to, and name its new place with --mirror DIR"}, true
	case errors.Is(err, syscall.EDQUOT):
		return advice{exitNoSpace, "see your quota, with quota -s or as your cluster shows it: have it raised, or remove what you do not need;\n" +
			"then run the same command to go on, or fetch less with --include and --exclude"}, true
	case errors.Is(err, failure.ErrNoSpace), errors.Is(err, syscall.ENOSPC):
		return advice{exitNoSpace, "make room and run the same command to go on, or fetch less with --include and --exclude"}, true
	case errors.Is(err, syscall.EIO):
		return advice{exitUnexpected, "the disk fails, or what it hangs on: see what the system says with: dmesg; nothing that it lost counts as verified:\n" +
			"run the same command to go on once it is well, and then see what it has with: mimicsync verify --repair"}, true
	case errors.Is(err, syscall.EROFS):
		return advice{exitUnexpected, "the mirror's file system is mounted read-only: mount it for writing, or choose another folder with --mirror"}, true
	case errors.Is(err, fs.ErrPermission):
		return advice{exitUnexpected, "ask its owner for access, or name another folder with --mirror"}, true
	case errors.Is(err, store.ErrNoMemory):
		return advice{exitUnexpected, "let the process have more address space, as by ulimit -v unlimited: the state is mapped into memory, which takes as much\n" +
			"of it as the file is long"}, true
	case isOfDisk(err) && (errors.Is(err, syscall.ENODEV) || errors.Is(err, syscall.ENXIO) || errors.Is(err, syscall.ESTALE) || errors.Is(err, syscall.ENOTCONN)):
		return advice{exitUnexpected, "the disk of the mirror, or the server that it is on, is gone or broken: see what the system says of it, with dmesg;\n" +
			"attach it, mount it again, and run the same command to go on: what was verified is kept"}, true
	case errors.Is(err, syscall.ENOTDIR):
		return advice{exitUnexpected, "a part of the mirror's path is a file: choose another folder with --mirror"}, true
	}
	return advice{}, false
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

func adviseNetwork(err error) (advice, bool) {
	var certificate *tls.CertificateVerificationError
	var dns *net.DNSError
	var op *net.OpError
	var proxy *source.ProxyError
	var portal *source.PortalError
	switch {
	case errors.As(err, &proxy):
		return advice{exitIncomplete, inLines(proxyCure(proxy)) + "\nthen run the same command to go on"}, true
	case errors.As(err, &portal):
		return advice{exitIncomplete, portalCure(portal).String() + "\nthen run the same command to go on"}, true
	case errors.Is(err, source.ErrWebPage):
		return advice{exitIncomplete, "the server may be under maintenance, or a login page of the network in between: open the address in a browser on this machine;\n" +
			"then run the same command to go on"}, true
	case errors.As(err, new(*source.EncodingError)):
		return advice{exitIncomplete, "a proxy in between may pack what passes: ask who runs it to let this server's files through as they are, or go around it;\n" +
			"then run the same command to go on"}, true
	case errors.As(err, &certificate):
		return advice{exitIncomplete, inLines(troubleCure(err, "")) + "\nthen run the same command to go on"}, true
	case errors.Is(err, failure.ErrUnreachable), errors.Is(err, failure.ErrStalled), errors.As(err, &dns), errors.As(err, &op):
		return advice{exitIncomplete, "check the network, and HTTPS_PROXY if you need one; then run the same command to go on"}, true
	}
	_, status := errors.AsType[*source.StatusError](err)
	if status || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return advice{exitIncomplete, "the server has trouble: run the same command later to go on"}, true
	}
	return advice{}, false
}

// exitCode is the code for a pass that ran to its end.
func exitCode(r *report.Report) int {
	code := exitOK
	for _, f := range r.Failures {
		switch failure.Reason(f.Reason) {
		case failure.ReasonNoSpace:
			code = worse(code, exitNoSpace)
		case failure.ReasonDenied, failure.ReasonUnauthorized:
			code = worse(code, exitAccess)
		case failure.ReasonChecksum:
			code = worse(code, exitIntegrity)
		default:
			code = worse(code, exitIncomplete)
		}
	}
	if r.Files.Failed > 0 {
		code = worse(code, exitIncomplete)
	}
	return code
}

func verificationCode(v *report.Verification) int {
	switch {
	case v.Wrong > 0:
		return exitIntegrity
	case v.Failed() > 0:
		return exitIncomplete
	}
	return exitOK
}
