package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/downloader"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

func (a *app) verifyCommand() *cobra.Command {
	var repair, rebuild bool
	var rate string
	cmd := &cobra.Command{
		Use:   "verify [DATASET[@VERSION]]",
		Short: "Re-read the mirror and compare it with the manifest",
		Long: `Verify reads every file of the mirror, or of one dataset, and compares its SHA-256
with the manifest. It needs no network. A wrong file is reported and left in place;
the next pull, or --repair right away, moves it to quarantine and fetches it again.
Read access to the mirror is enough.

--rebuild replaces a lost or damaged state file by a new one made from the mirror. It
reads all files, and keeps the old state file beside the new one.`,
		Example: `  mimicsync verify
  mimicsync verify mimiciv@3.1 --repair
  mimicsync verify --rate 50M
  mimicsync verify --rebuild`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: completeOneDataset,
		RunE: func(cmd *cobra.Command, args []string) error {
			if rebuild && len(args) > 0 {
				return advice.Usagef("--rebuild covers all datasets: leave out %s", args[0])
			}
			limit, err := pace.ParseSize(rate)
			if err != nil {
				return advice.Usagef("--rate: %w", err)
			}
			return a.verify(cmd.Context(), args, limit, repair, rebuild)
		},
	}
	a.mirrorFlags(cmd.Flags())
	a.credentialsFlag(cmd.Flags())
	cmd.Flags().BoolVar(&repair, "repair", false, "fetch wrong and missing files again")
	cmd.Flags().BoolVar(&rebuild, "rebuild", false, "rebuild the state file from the mirror")
	cmd.Flags().StringVar(&rate, "rate", "off", "read at most `RATE` bytes per second, bypassing the page cache: 50M, 512k")
	cmd.Flags().BoolVar(&a.json, "json", false, "print the result as one JSON object")
	cmd.Flags().StringVar(&a.progress, "progress", "auto", "`how` to show progress: auto, bar, plain or none")
	return cmd
}

func (a *app) verify(ctx context.Context, args []string, rate int64, repair, rebuild bool) (err error) {
	if err := checkMirror(a.mirror, false); err != nil {
		return err
	}
	var unread error
	if rebuild {
		if unread, err = a.renewState(ctx); err != nil {
			return err
		}
	} else if o, err := a.findOwner(ctx); err != nil {
		return err
	} else if o != nil {
		defer o.Close()
		return a.printVerified(a.verifyAll(ctx, o, args, repair))
	}
	if repair {
		a.sources, a.billingProject = a.file.Sources, a.file.GCS.BillingProject
	}
	m, err := a.openMirror(ctx, "verify", false)
	if !repair && !rebuild && (errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)) {
		m, err = a.openToVerify(ctx)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	ctx, release := m.whileOwned(ctx)
	defer release()
	results, err := a.verifyAll(ctx, &localVerifier{m, a, rate}, args, repair)
	return a.printVerified(results, errors.Join(unread, err))
}

// openToVerify opens the mirror for a user who can only read it: with its state or, if that
// can't be read, with the manifests in the folders of its versions.
func (a *app) openToVerify(ctx context.Context) (*mirror, error) {
	a.ui.Notef("the mirror is read-only: wrong files are reported, but not recorded")
	m, err := a.openReadOnly(ctx)
	if errors.Is(err, fs.ErrPermission) {
		m, err = a.openTreeReadOnly(ctx)
	}
	return m, err
}

// openTreeReadOnly is openReadOnly without access to the state.
func (a *app) openTreeReadOnly(ctx context.Context) (*mirror, error) {
	s, err := store.OpenEmptyCopy(a.mirror)
	if err != nil {
		return nil, err
	}
	m, err := a.readOnlyWith(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := a.adoptVersions(ctx, m); err != nil {
		return nil, errors.Join(err, m.close())
	}
	return m, nil
}

// printVerified prints the results with --json; without it they are printed already.
func (a *app) printVerified(results []*report.Verification, err error) error {
	if left, ok := errors.AsType[*leftError](err); ok {
		a.leave(left)
		err = nil
	}
	if !a.json {
		return err
	}
	return errors.Join(err, a.ui.JSONPart("verified", results, err))
}

// verifier verifies versions: of the mirror itself, or through the daemon that owns it.
type verifier interface {
	// known returns the versions that the arguments of the command line name, all
	// versions if there are none.
	known(ctx context.Context, args []string) ([]manifest.Ref, error)
	// verify reads a version again. After an error that isUnreadable recognizes, other
	// versions can still be verified.
	verify(ctx context.Context, ref manifest.Ref, repair bool) (verified, error)
}

// verified is a version after verification.
type verified struct {
	found *report.Verification
	// repair fetches again what is wrong or missing, and returns the result, nil if
	// there is none. It is nil if there is nothing to repair or nobody asked.
	repair func() (*report.Report, error)
}

// isUnreadable reports whether a version can't be verified because its manifest is damaged
// or lost.
func isUnreadable(err error) bool {
	if _, ok := errors.AsType[*failure.KeptManifestError](err); ok {
		return true
	}
	ended, ok := errors.AsType[*advice.PassError](err)
	return ok && ended.Code == advice.ExitIntegrity
}

// verifyAll verifies the versions that args name and tells of each what it found.
func (a *app) verifyAll(ctx context.Context, by verifier, args []string, repair bool) ([]*report.Verification, error) {
	results := []*report.Verification{}
	refs, err := by.known(ctx, args)
	if err != nil {
		return results, err
	}
	var unreadable error
	for _, ref := range refs {
		v, err := by.verify(ctx, ref, repair)
		if isUnreadable(err) {
			unreadable = errors.Join(unreadable, err)
			continue
		}
		if err != nil {
			return results, err
		}
		results = append(results, v.found)
		a.tellFound(v.found, repair)
		if v.repair == nil {
			a.code = advice.Worse(a.code, advice.ForVerification(v.found))
			continue
		}
		r, err := v.repair()
		if r == nil {
			return results, err
		}
		a.tellRepaired(r, err)
	}
	return results, unreadable
}

// localVerifier verifies versions itself.
type localVerifier struct {
	*mirror

	a    *app
	rate int64 // bytes per second; 0: no limit
}

func (l *localVerifier) known(_ context.Context, args []string) ([]manifest.Ref, error) {
	refs, err := l.mirror.known(args)
	if err == nil && len(refs) == 0 {
		l.a.ui.Notef("the mirror %s has no dataset yet; if its state file was lost, use --rebuild", l.a.mirror)
	}
	return refs, err
}

func (l *localVerifier) verify(ctx context.Context, ref manifest.Ref, repair bool) (verified, error) {
	found, err := l.scrub(ctx, ref)
	if err != nil {
		return verified{}, err
	}
	v := verified{found: found}
	if found.Failed() > 0 && repair {
		v.repair = func() (*report.Report, error) { return l.repair(ctx, ref) }
	}
	return v, nil
}

func (l *localVerifier) scrub(ctx context.Context, ref manifest.Ref) (*report.Verification, error) {
	progress := new(progress.Progress)
	stop := l.a.ui.Show(l.a.progressStyle(), "verify "+ref.String(), progress, l.budgets)
	defer stop()
	return l.syncer.Scrub(ctx, ref, downloader.ScrubOptions{Rate: l.rate, Keep: true}, progress)
}

// repair pulls only the wrong and missing files, so that a mirror of a part of a dataset
// stays one.
func (l *localVerifier) repair(ctx context.Context, ref manifest.Ref) (*report.Report, error) {
	lost, err := l.syncer.SelectLost(ref)
	if err != nil {
		return nil, err
	}
	return l.a.pullOne(ctx, l.mirror, ref, lost)
}

func (a *app) tellFound(v *report.Verification, repair bool) {
	if !a.json {
		a.ui.Verification(v, repair)
	}
}

// tellRepaired prints the result of a repair; err is why it ended early.
func (a *app) tellRepaired(r *report.Report, err error) {
	if !a.json {
		a.ui.Report(r)
	}
	code := advice.ForPass(r)
	if err != nil {
		code = a.ui.ExplainPass(r, err)
	}
	a.code = advice.Worse(a.code, code)
}

// known are the versions to verify: all, or those of the dataset that the command line
// names.
func (m *mirror) known(args []string) ([]manifest.Ref, error) {
	versions, err := m.store.Versions()
	if err != nil {
		return nil, err
	}
	all := make([]manifest.Ref, 0, len(versions))
	for _, v := range versions {
		all = append(all, v.Ref)
	}
	return wanted(all, args)
}

// wanted are the versions that a command line means.
func wanted(all []manifest.Ref, args []string) ([]manifest.Ref, error) {
	if len(args) == 0 {
		return all, nil
	}
	want, err := manifest.ParseRef(args[0])
	if err != nil {
		return nil, err
	}
	var refs []manifest.Ref
	for _, ref := range all {
		if want.Dataset == ref.Dataset && (want.Version == "" || want.Version == ref.Version) {
			refs = append(refs, ref)
		}
	}
	if len(refs) == 0 {
		return nil, &advice.UnknownHereError{Ref: want}
	}
	return refs, nil
}

// renewState makes a new state file that knows every version whose manifest is in the tree,
// and puts it in place of the old one. unread is about versions that can't be read, err
// about the whole.
func (a *app) renewState(ctx context.Context) (unread, err error) {
	place, err := store.Locate(a.mirror, a.state)
	if err != nil {
		return nil, fmt.Errorf("open the mirror: %w", err)
	}
	m := &mirror{}
	if m.store, err = store.Recreate(place, "verify --rebuild"); err != nil {
		return nil, err
	}
	if err := a.equip(ctx, m, tree.Options{Network: place.Network != "", Inherited: m.store.Inherited()}); err != nil {
		return nil, errors.Join(err, m.close())
	}
	unread = a.adoptVersions(ctx, m)
	if ctx.Err() != nil {
		return nil, errors.Join(context.Cause(ctx), m.close())
	}
	aside, err := m.store.Replace()
	if err = errors.Join(err, m.tree.Close()); err != nil {
		return unread, err
	}
	if aside != "" {
		a.ui.Notef("the old state file is now %s", aside)
	}
	return unread, nil
}

// adoptVersions adds every version whose manifest is in the tree to the new state. A
// damaged one doesn't stop the others.
func (a *app) adoptVersions(ctx context.Context, m *mirror) error {
	var unread error
	for _, ref := range versionsInTree(a.mirror) {
		if err := m.syncer.Adopt(ctx, ref); err != nil {
			unread = errors.Join(unread, fmt.Errorf("%s: %w", filepath.Join(a.mirror, ref.Dataset, ref.Version, manifest.Name), err))
		}
	}
	return unread
}

// versionsInTree are the versions whose manifest is in the folders of a mirror.
func versionsInTree(mirror string) (all []manifest.Ref) {
	found, _ := fs.Glob(os.DirFS(mirror), "*/*/"+manifest.Name) // the pattern is valid
	for _, name := range found {
		dataset, version := path.Split(path.Dir(name))
		if ref, err := manifest.ParseRef(path.Clean(dataset) + "@" + version); err == nil && !strings.HasPrefix(dataset, ".") { // otherwise the folder isn't ours
			all = append(all, ref)
		}
	}
	return all
}

// unknownOf are the versions in the tree that a state doesn't know: its former state was
// lost, or another tool fetched them.
func unknownOf(mirror string, known []manifest.Ref) []manifest.Ref {
	return slices.DeleteFunc(versionsInTree(mirror), func(ref manifest.Ref) bool { return slices.Contains(known, ref) })
}
