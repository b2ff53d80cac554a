package advice

import (
	"context"
	"errors"
	"fmt"

	"mimicsync/downloader/failure"
	"mimicsync/downloader/source"
	"mimicsync/store"
)

func (a Adviser) adviseState(err error) (Advice, bool) {
	if shrunk, ok := errors.AsType[*failure.ShrunkError](err); ok {
		return Advice{ExitIncomplete, "check the page of the version; if it is meant, accept the manifest with: " + a.Command("pull", shrunk.Ref.String(), "--accept-manifest")}, true
	}
	if lost, ok := errors.AsType[*failure.KeptManifestError](err); ok {
		return Advice{ExitIntegrity, "fetch it again with: " + a.Command("pull", lost.Ref.String()) +
			"\nif the version is no longer published, move its SHA256SUMS.txt away, if there is one, and rebuild the state without it: " + a.Command("verify", "--rebuild")}, true
	}
	switch {
	case errors.Is(err, store.ErrLocked):
		return adviseLocked(err), true
	case errors.Is(err, store.ErrNewerSchema):
		return Advice{ExitUsage, "use the newer mimicsync; nothing was changed"}, true
	case errors.Is(err, store.ErrDamaged):
		return Advice{ExitIncomplete, "rebuild the state from the mirror; no data is lost and nothing is fetched again: " + a.Command("verify", "--rebuild")}, true
	case errors.Is(err, failure.ErrNoManifest):
		return Advice{ExitUsage, "fetch it with: " + a.Command("pull", "DATASET")}, true
	case errors.Is(err, source.ErrNotPublished), errors.Is(err, failure.ErrManifestChanges):
		return Advice{ExitIncomplete, "run the same command again in a few minutes; a daemon does so automatically"}, true
	case errors.Is(err, failure.ErrManifest):
		return Advice{ExitIncomplete, "only the source can fix this; try again later: the mirror stays as it is"}, true
	case errors.Is(err, failure.ErrInterrupted), errors.Is(err, context.Canceled):
		return Advice{ExitInterrupted, "run the same command to continue"}, true
	case errors.Is(err, failure.ErrLimit):
		return Advice{ExitIncomplete, "run the same command again to continue"}, true
	}
	return Advice{}, false
}

// adviseLocked is about a mirror that another process owns.
func adviseLocked(err error) Advice {
	locked, ok := errors.AsType[*store.LockedError](err)
	out := Advice{ExitOwned, "wait until it ends, or stop it; its state is always saved"}
	switch {
	case !ok || locked.Owner.PID == 0:
	case !locked.Owner.Here():
		out.Hint = fmt.Sprintf("wait until it ends, or stop it on %s with: kill %d   (its state is saved)", locked.Owner.Host, locked.Owner.PID)
	case locked.Owner.Command == DaemonOwner: // it doesn't end by itself
		out.Hint = fmt.Sprintf("stop the daemon first, with: kill %d, or a service with: systemctl stop mimicsync   (its state is saved);\nstart it again afterwards", locked.Owner.PID)
	default:
		out.Hint = fmt.Sprintf("wait until it ends, or stop it with: kill %d   (its state is saved)", locked.Owner.PID)
	}
	return out
}
