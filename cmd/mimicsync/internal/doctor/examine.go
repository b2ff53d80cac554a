package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/terminal"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/source"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
)

// CheckLimit is how long a check may take.
const CheckLimit = 10 * time.Second

// Candidate is a source to check.
type Candidate struct {
	Name   string
	Source source.Diagnoser
	Err    error // why there is no source: what is wrong with its configuration
	// BillsProject says that readers pay with a project, which is checked, too.
	BillsProject bool
}

// Doctor finds out why access fails.
type Doctor struct {
	Ref        manifest.Ref // zero: skip checks that need a dataset
	Wanted     bool         // a dataset was named
	Mirror     string
	Candidates []Candidate
	Physionet  string // its address, the default if empty
	Adviser    advice.Adviser
	Check      func() error     // why the mirror can't be opened, nil if it can
	IsAway     func(error) bool // an error of Check: the mirror is no longer where it was
	Limit      time.Duration    // for one check
}

// Diagnosis is the result of doctor.
type Diagnosis struct {
	Dataset string   `json:"dataset,omitempty"`
	Version string   `json:"version,omitempty"`
	OK      bool     `json:"ok"`             // some source can be used
	From    []string `json:"fetchable_from"` // the sources that can, in order
	Groups  []Group  `json:"groups"`
	Error   string   `json:"error,omitempty"`
}

// With returns the diagnosis of a doctor that ended with an error.
func (d Diagnosis) With(err error) Diagnosis {
	if err != nil {
		d.Error = err.Error()
	}
	return d
}

// Group is the findings about one thing.
type Group struct {
	Name   string    `json:"name"`  // "dataset", a source, "mirror"
	Place  string    `json:"place"` // an address or a folder
	Checks []finding `json:"checks"`
	usable bool
}

func (g *Group) add(f finding) { g.Checks = append(g.Checks, f) }

// finding is the result of a check.
type finding struct {
	Check string  `json:"check"`
	State verdict `json:"state"`
	Says  string  `json:"says"`
	// Cause is source.Cause, or empty.
	Cause string        `json:"cause,omitempty"`
	Cure  []advice.Step `json:"cure,omitempty"` // in the order of the steps
}

type verdict string

const (
	isOK      verdict = "ok"
	isNote    verdict = "note" // worth knowing, but no obstacle
	hasFailed verdict = "failed"
	isSkipped verdict = "skipped"
)

// Examine makes all checks: those of the sources and of the mirror in parallel.
func (d *Doctor) Examine(ctx context.Context) Diagnosis {
	var result Diagnosis
	if d.Wanted {
		result.Groups = append(result.Groups, d.examineDataset(ctx))
		result.Dataset, result.Version = d.Ref.Dataset, d.Ref.Version
	}
	groups := make([]Group, len(d.Candidates)+1)
	var wg sync.WaitGroup
	for i, c := range d.Candidates {
		wg.Go(func() { groups[i] = d.examineSource(ctx, c) })
	}
	wg.Go(func() { groups[len(d.Candidates)] = d.examineMirror(ctx) })
	wg.Wait()
	result.Groups, result.From = append(result.Groups, groups...), []string{}
	for _, g := range groups {
		if g.usable && (!d.Wanted || d.Ref.Version != "") {
			result.From = append(result.From, g.Name)
		}
	}
	result.OK = len(result.From) > 0
	return result
}

// limited makes one check. A check that can't be canceled, such as looking at a file server
// that is away, ends with the process.
func limited[T any](ctx context.Context, limit time.Duration, check func(context.Context) (T, error)) (T, error) {
	why := fmt.Errorf("%w for %s", failure.ErrStalled, limit)
	within, cancel := context.WithTimeoutCause(ctx, limit, why)
	defer cancel()
	const grace = time.Second // to end in good order
	hard, cancelHard := context.WithTimeoutCause(ctx, limit+grace, why)
	defer cancelHard()
	out, err := terminal.UnlessDone(hard, func() (T, error) { return check(within) })
	if err != nil && within.Err() != nil {
		err = context.Cause(within)
	}
	return out, err
}

// examineDataset finds the version for the other checks.
func (d *Doctor) examineDataset(ctx context.Context) Group {
	g := Group{Name: "dataset", Place: d.Ref.String()}
	known, inCatalog := manifest.Lookup(d.Ref.Dataset)
	f := finding{Check: "version", State: isOK, Says: d.Ref.Version + ", as asked for"}
	if d.Ref.Version == "" {
		version, err := d.latest(ctx)
		switch {
		case err == nil:
			f.Says = version + " is the newest"
		case isUnknown(err) || !inCatalog:
			f = d.failed("version", err)
			if len(f.Cure) == 0 {
				f.Cure = []advice.Step{{Do: "name the version, as in " + d.Ref.Dataset + "@1.0"}}
			}
		default:
			version = known.Version
			f.State, f.Says = isNote, version+" is the newest known to this build; PhysioNet couldn't be asked: "+err.Error()
		}
		d.Ref.Version = version
	}
	g.Place = d.Ref.String()
	g.add(f)
	if inCatalog {
		g.add(finding{Check: "terms", State: isNote, Says: known.Access.String() + ": " + terms[known.Access]})
	}
	return g
}

var terms = map[manifest.Access]string{
	manifest.Open:         "open to everyone",
	manifest.Restricted:   "needs an account that has signed the agreement of this version",
	manifest.Credentialed: "needs a credentialed account with a valid training that has signed the agreement of this version",

	manifest.ContributorReview: "needs the consent of the contributors of the data",
}

func (d *Doctor) latest(ctx context.Context) (string, error) {
	for _, c := range d.Candidates {
		if p, ok := c.Source.(source.Publisher); ok && c.Err == nil {
			return limited(ctx, d.Limit, func(ctx context.Context) (string, error) { return p.Latest(ctx, d.Ref.Dataset) })
		}
	}
	return "", errors.New("no source can tell which version is the newest")
}

func isUnknown(err error) bool {
	e, ok := errors.AsType[*source.AccessError](err)
	return ok && e.Denial == source.UnknownVersion
}

// examineSource checks a source, one question after another, as long as that makes sense.
func (d *Doctor) examineSource(ctx context.Context, c Candidate) Group {
	g := Group{Name: c.Name}
	if c.Err != nil {
		g.add(d.failed("configuration", c.Err))
		return g
	}
	ref := d.Ref
	if ref.Version == "" {
		ref = manifest.Ref{}
	}
	at, err := limited(ctx, d.Limit, func(ctx context.Context) (source.Reached, error) { return c.Source.Reach(ctx, ref) })
	g.Place = at.Address
	g.add(d.networkFinding(at, err))
	g.add(proxyFinding(at))
	if err != nil {
		for _, check := range []string{"clock", "account", "access"} {
			g.add(finding{Check: check, State: isSkipped, Says: "can't be checked"})
		}
		return g
	}
	g.add(clockFinding(at))
	who, whoErr := limited(ctx, d.Limit, func(ctx context.Context) (source.Identity, error) { return c.Source.Identify(ctx, ref) })
	account := d.accountFinding(who, whoErr)
	access := finding{Check: "access", State: isSkipped, Says: "needs a dataset: mimicsync doctor DATASET"}
	g.usable = account.State != hasFailed
	if ref.Dataset != "" {
		_, err := limited(ctx, d.Limit, func(ctx context.Context) (struct{}, error) { return struct{}{}, read(ctx, c.Source, ref) })
		access, g.usable = d.accessFinding(ref, cmp.Or(d.Physionet, physionet.DefaultURL), err), err == nil
		if err == nil && account.State == hasFailed { // it is no obstacle here
			account.State = isNote
		}
	}
	g.add(account)
	if c.BillsProject {
		g.add(billingFinding(who))
	}
	g.add(access)
	return g
}

// read fetches the first byte of the manifest.
func read(ctx context.Context, s source.Source, ref manifest.Ref) error {
	o, err := s.Open(ctx, source.Request{Ref: ref, Path: manifest.Name, Length: 1})
	if err != nil {
		return err
	}
	return o.Body.Close()
}

// examineMirror checks the disk of the mirror. It doesn't create a mirror.
func (d *Doctor) examineMirror(ctx context.Context) Group {
	g := Group{Name: "mirror", Place: d.Mirror}
	ground, err := limited(ctx, d.Limit, func(context.Context) (tree.Ground, error) { return tree.InspectGround(d.Mirror) })
	g.add(d.writableFinding(err))
	if ground.FileSystem != "" {
		g.add(fileSystemFinding(ground))
	}
	if ground.Free.Total == 0 { // it wasn't even examined
		return g
	}
	g.add(d.spaceFinding(ground, d.Ref))
	if err == nil {
		g.add(linksFinding(ground))
	}
	g.add(d.ownerFinding(d.Mirror))
	return g
}
