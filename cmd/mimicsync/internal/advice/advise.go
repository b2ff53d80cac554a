package advice

import (
	"errors"
	"io/fs"
	"net"
	"net/http"
	"strings"
	"syscall"

	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/daemon/api"
	"mimicsync/downloader"
	"mimicsync/downloader/failure"
	"mimicsync/manifest"
)

// Adviser tells people what to do about errors. Its values are safe for concurrent use.
type Adviser struct {
	// Mirror is the folder that the commands in a hint name with --mirror. It is empty if
	// they find the mirror without it.
	Mirror string
	// Account is the file in which mimicsync login saves the account if there is no
	// keyring; empty if there is no home folder.
	Account string
}

// Command returns a command line about the mirror, like "mimicsync pull demo". A name may
// have two words.
func (a Adviser) Command(name string, args ...string) string {
	line := "mimicsync " + name
	if a.Mirror != "" {
		line += " --mirror " + words.ShellQuote(a.Mirror)
	}
	return strings.Join(append([]string{line}, args...), " ")
}

// Advice is what to tell people about an error.
type Advice struct {
	Code int    // the exit code
	Hint string // what to do next; empty if the message says it
}

// Advised is an error that has its own advice.
type Advised interface {
	error
	Advice(a Adviser) Advice
}

// Advise returns what people can do about an error.
func (a Adviser) Advise(err error) Advice {
	if own, ok := errors.AsType[Advised](err); ok {
		return own.Advice(a)
	}
	for _, try := range []func(error) (Advice, bool){
		a.adviseForeign, a.adviseOwner, a.adviseUsage, a.adviseListen, a.adviseAccess, a.adviseState, a.adviseDisk, a.adviseNetwork,
	} {
		if found, ok := try(err); ok {
			return found
		}
	}
	return Advice{Code: ExitUnexpected}
}

// ForClient is Advise for the client of a daemon.
func (a Adviser) ForClient(err error) (code int, hint string) {
	found := a.Advise(err)
	return found.Code, found.Hint
}

func (a Adviser) adviseUsage(err error) (Advice, bool) {
	var usage *UsageError
	var config *ConfigError
	var none *NoMirrorError
	var unknown *UnknownHereError
	switch {
	case errors.Is(err, manifest.ErrBadRef):
		return Advice{ExitUsage, "list the known names with: mimicsync datasets"}, true
	case errors.As(err, &usage):
		return Advice{ExitUsage, usage.Hint}, true
	case errors.As(err, &config), errors.Is(err, failure.ErrSources), errors.Is(err, failure.ErrKept):
		return Advice{ExitUsage, ""}, true
	case errors.Is(err, failure.ErrNothingSelected):
		return Advice{ExitUsage, "check --include and --exclude, or include and exclude in the configuration: a pattern with a slash must match the\n" +
			"whole path, as 'hosp/**' does; the paths are in SHA256SUMS.txt in the version's folder"}, true
	case errors.As(err, &none):
		return Advice{ExitUsage, "name its folder with --mirror DIR, or create one with: mimicsync pull DATASET --mirror " + none.Path}, true
	case errors.As(err, &unknown):
		return Advice{ExitUsage, "list what it has with: " + a.Command("status")}, true
	}
	if cost, ok := errors.AsType[*downloader.CostError](err); ok {
		return Advice{ExitUsage, "add a free source after it, as in --source " + cost.Source + ",physionet, to be used when the money is spent;\n" +
			"or raise --max-cost, or fetch less with --include and --exclude; compare the sources with: " + a.Command("plan", cost.Ref.String())}, true
	}
	return Advice{}, false
}

// adviseOwner is about the answers of the daemon that owns the mirror.
func (a Adviser) adviseOwner(err error) (Advice, bool) {
	if refused, ok := errors.AsType[*api.Error](err); ok {
		code := ExitUnexpected
		switch {
		case refused.ExitCode != 0:
			code = refused.ExitCode
		case refused.Code == http.StatusLocked:
			code = ExitOwned
		case refused.Code < http.StatusInternalServerError:
			code = ExitUsage
		}
		return Advice{code, refused.Hint}, true
	}
	if errors.Is(err, api.ErrSilent) {
		return Advice{ExitOwned, "if the daemon is running, it hangs: read its log and restart it; if it isn't, find out what listens there, and remove the socket"}, true
	}
	if errors.Is(err, api.ErrEnded) {
		return Advice{ExitInterrupted, "everything fetched so far is saved: restart the daemon, or run the same command to continue without it"}, true
	}
	if errors.Is(err, api.ErrNoDaemon) {
		return Advice{ExitUsage, "start one with: mimicsync daemon; or name its mirror with --mirror DIR"}, true
	}
	return Advice{}, false
}

// adviseListen is about the addresses that a daemon listens on.
func (a Adviser) adviseListen(err error) (Advice, bool) {
	op, ok := errors.AsType[*net.OpError](err)
	if !ok || op.Op != "listen" || op.Net != "tcp" {
		return Advice{}, false
	}
	why := "the address can't be used"
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		why = "another program is listening there, perhaps another daemon"
	case errors.Is(err, fs.ErrPermission):
		why = "only root may use ports below 1024"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		why = "this machine does not have that address"
	}
	return Advice{ExitUsage, why + ": choose another, as in --listen 127.0.0.1:8766"}, true
}

// DaemonOwner is the command of a daemon that owns a mirror.
const DaemonOwner = "daemon"
