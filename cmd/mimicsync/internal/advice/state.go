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
		return Advice{ExitUnexpected, "see on the page of the version whether that is meant, and then accept it with: " + a.Command("pull", shrunk.Ref.String(), "--accept-manifest")}, true
	}
	if lost, ok := errors.AsType[*failure.KeptManifestError](err); ok {
		return Advice{ExitIntegrity, "fetch it again with: " + a.Command("pull", lost.Ref.String()) +
			"\nif that version is published no more, move its SHA256SUMS.txt away, if there is one, and make a state without it: " + a.Command("verify", "--rebuild")}, true
	}
	switch {
	case errors.Is(err, store.ErrLocked):
		return adviseLocked(err), true
	case errors.Is(err, store.ErrNewerSchema):
		return Advice{ExitUnexpected, "use that newer mimicsync; nothing was changed"}, true
	case errors.Is(err, store.ErrDamaged):
		return Advice{ExitUnexpected, "make a new state from the mirror; no data is lost and none is fetched again: " + a.Command("verify", "--rebuild")}, true
	case errors.Is(err, failure.ErrNoManifest):
		return Advice{ExitUsage, "fetch it with: " + a.Command("pull", "DATASET")}, true
	case errors.Is(err, source.ErrNotPublished), errors.Is(err, failure.ErrManifestChanges):
		return Advice{ExitIncomplete, "run the same command again in some minutes; a daemon does so by itself"}, true
	case errors.Is(err, failure.ErrManifest):
		return Advice{ExitIncomplete, "this is for the source to mend; try again later: what is in the mirror stays as it is"}, true
	case errors.Is(err, failure.ErrInterrupted), errors.Is(err, context.Canceled):
		return Advice{ExitInterrupted, "run the same command to go on"}, true
	case errors.Is(err, failure.ErrLimit):
		return Advice{ExitIncomplete, "run the same command again to go on"}, true
	}
	return Advice{}, false
}

// adviseLocked is about a mirror that another process owns.
func adviseLocked(err error) Advice {
	locked, ok := errors.AsType[*store.LockedError](err)
	out := Advice{ExitOwned, "wait until it ends, or stop it; its state is saved at any moment"}
	switch {
	case !ok || locked.Owner.PID == 0:
	case !locked.Owner.Here():
		out.Hint = fmt.Sprintf("wait until it ends, or stop it on %s with: kill %d   (its state is saved)", locked.Owner.Host, locked.Owner.PID)
	case locked.Owner.Command == DaemonOwner: // which does not end by itself
		out.Hint = fmt.Sprintf("the daemon must rest for this: stop it with: kill %d, or as a service with: systemctl stop mimicsync   (its state is saved);\nstart it again afterwards", locked.Owner.PID)
	default:
		out.Hint = fmt.Sprintf("wait until it ends, or stop it with: kill %d   (its state is saved)", locked.Owner.PID)
	}
	return out
}
