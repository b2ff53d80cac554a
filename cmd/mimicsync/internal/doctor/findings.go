package doctor

import (
	"cmp"
	"errors"
	"fmt"
	"strings"
	"time"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/downloader/source"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// failure is a failed check.
func (d *Doctor) failed(check string, err error) finding {
	f := finding{Check: check, State: hasFailed, Says: err.Error()}
	if e, ok := errors.AsType[*source.AccessError](err); ok {
		// The group already names the source.
		f.Says, f.Cause, f.Cure = strings.TrimPrefix(f.Says, e.Source+": "), string(e.Cause), d.Adviser.AccessCure(e)
	}
	return f
}

// trouble is a check without a result.
func (d *Doctor) trouble(check string, err error, proxy string) finding {
	f := d.failed(check, err)
	if len(f.Cure) == 0 {
		f.Cure = advice.TroubleCure(err, proxy)
	}
	return f
}

func (d *Doctor) networkFinding(at source.Reached, err error) finding {
	switch {
	case err != nil:
		return d.trouble("network", err, at.Proxy)
	case strings.HasPrefix(at.Address, "https://"):
		return finding{Check: "network", State: isOK, Says: "it answers, with a valid certificate"}
	}
	return finding{Check: "network", State: isOK, Says: "it answers, without TLS"}
}

func proxyFinding(at source.Reached) finding {
	f := finding{Check: "proxy", State: isOK, Says: "none"}
	if at.Proxy != "" {
		f.State, f.Says = isNote, "through "+at.Proxy
	}
	return f
}

// maxSkew is how wrong a clock may be. S3 refuses at 15 minutes, and Google's logins of
// service accounts earlier.
const maxSkew = 5 * time.Minute

func clockFinding(at source.Reached) finding {
	ahead, known := at.Ahead()
	direction := "ahead of"
	if ahead < 0 {
		direction = "behind"
	}
	switch {
	case !known:
		return finding{Check: "clock", State: isNote, Says: "the server doesn't report its time"}
	case ahead.Abs() > maxSkew:
		return finding{
			Check: "clock", State: hasFailed, Says: fmt.Sprintf("this machine's clock is %s %s the server's", ahead.Abs(), direction),
			Cause: string(source.CauseClock), Cure: []advice.Step{{Do: "set this machine's clock", Command: advice.SetClock}},
		}
	case ahead.Abs() > 30*time.Second:
		return finding{Check: "clock", State: isNote, Says: fmt.Sprintf("%s %s the server's; harmless so far", ahead.Abs(), direction)}
	}
	return finding{Check: "clock", State: isOK, Says: "right"}
}

func (d *Doctor) accountFinding(who source.Identity, err error) finding {
	f := finding{Check: "account", State: isOK}
	e, refused := errors.AsType[*source.AccessError](err)
	switch {
	case refused && e.Denial == source.NoCredentials: // it may not be needed
		f = d.failed("account", err)
		f.State = isNote
		if e.Err == nil && e.Detail == "" {
			f.Says = "none was found; open datasets need none"
		}
		if e.Ref.Dataset != "" { // the next check will tell
			f.Cause, f.Cure = "", nil
		}
	case err != nil:
		f = d.trouble("account", err, "")
	case who.Anonymous:
		f.Says = "none, as configured"
	case who.From == "":
		f.Says = "none"
	case who.User == "":
		f.Says = "credentials from " + who.From
	default:
		f.Says = fmt.Sprintf("%s, from %s", who.User, who.From)
	}
	return f
}

// billingFinding is about Google, where readers pay. Whether the project can pay shows only
// when reading.
func billingFinding(who source.Identity) finding {
	if who.Payer != "" {
		return finding{Check: "billing", State: isOK, Says: "the project " + who.Payer + " will pay"}
	}
	return finding{Check: "billing", State: isNote, Says: "no project is set to pay; PhysioNet's buckets need one", Cure: []advice.Step{advice.NameProject}}
}

// accessFinding is about a version, which has its page at PhysioNet.
func (d *Doctor) accessFinding(ref manifest.Ref, base string, err error) finding {
	if err == nil {
		return finding{Check: "access", State: isOK, Says: ref.String() + " can be read"}
	}
	f := d.failed("access", err)
	switch {
	case errors.Is(err, source.ErrNotPublished):
		f.Cure = []advice.Step{{Do: "try again in a few minutes; if that doesn't help, ask the publisher", Page: base + "/content/" + ref.Dataset + "/" + ref.Version + "/"}}
		return f
	case errors.Is(err, source.ErrNotExist):
		f.Cure = []advice.Step{{Do: "there is no " + manifest.Name + ": see which files exist", Page: base + "/content/" + ref.Dataset + "/" + ref.Version + "/"}}
		return f
	}
	return d.trouble("access", err, "")
}

func (d *Doctor) writableFinding(err error) finding {
	f := finding{Check: "writable", State: isOK, Says: "yes"}
	none := d.Check()
	if d.IsAway(none) {
		err = none
	}
	switch {
	case err != nil:
		f = d.failed("writable", err)
		f.Cure = []advice.Step{{Do: cmp.Or(d.Adviser.Advise(err).Hint, "choose another folder with --mirror")}}
	case none != nil:
		f.Says = "yes; there is no mirror yet, pull creates it"
	}
	return f
}

func fileSystemFinding(g tree.Ground) finding {
	f := finding{Check: "file system", State: isOK, Says: g.FileSystem}
	if g.Network {
		f.State, f.Says = isNote, g.FileSystem+", on a file server: the state is kept on a local disk (--state)"
	}
	return f
}

func (d *Doctor) spaceFinding(g tree.Ground, ref manifest.Ref) finding {
	f := finding{Check: "space", State: isOK, Says: words.Size(g.Free.Bytes) + " free"}
	known, ok := manifest.Lookup(ref.Dataset)
	switch {
	case g.Free.Inodes == 0:
		f.State, f.Says = hasFailed, "the file system has no free inode left"
		f.Cure = []advice.Step{{Do: "free some space, or choose another folder with --mirror"}}
	case ok && known.Version == ref.Version && known.Bytes > g.Free.Bytes:
		f.State = hasFailed
		f.Says += fmt.Sprintf("; all of %s is %s", ref, words.Size(known.Bytes))
		f.Cure = []advice.Step{{Do: "see what the mirror is missing", Command: d.Adviser.Command("plan", ref.String())}, {Do: "free some space, choose another folder with --mirror, or fetch less with --include"}}
	case ok && known.Version == ref.Version && known.Bytes > 0:
		f.Says += fmt.Sprintf("; all of %s is %s", ref, words.Size(known.Bytes))
	}
	return f
}

func linksFinding(g tree.Ground) finding {
	f := finding{Check: "links", State: isOK}
	switch {
	case g.Unreadable != nil:
		f.State, f.Says = hasFailed, "a file can't be read by its second name while it is open by its first: "+g.Unreadable.Error()
		f.Cure = []advice.Step{{Do: "mount the share without leases, with the options nolease,cache=none; see mount.cifs(8)"}, {Do: "or put the mirror on another file system"}}
	case g.HardLinks && g.Reflinks:
		f.Says = "hard links and reflinks: a file in two versions is stored once"
	case g.HardLinks:
		f.Says = "hard links: a file in two versions is stored once"
	case g.Reflinks:
		f.Says = "reflinks: a file in two versions is stored once"
	default:
		f.State, f.Says = isNote, "none: a file in two versions is copied"
	}
	return f
}

func (d *Doctor) ownerFinding(mirror string) finding {
	owner, owned := store.OwnerOf(mirror)
	if !owned {
		return finding{Check: "owner", State: isOK, Says: "no other process uses it"}
	}
	locked := &store.LockedError{Owner: owner}
	f := finding{Check: "owner", State: isNote, Says: locked.Error()}
	if owner.Command != advice.DaemonOwner { // a daemon carries out commands
		f.Cure = []advice.Step{{Do: d.Adviser.Advise(locked).Hint}}
	}
	return f
}
