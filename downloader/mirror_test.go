package downloader_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"mimicsync/downloader"
	"mimicsync/downloader/cost"
	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/report"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// site is a PhysioNet look-alike over real TLS.
type site struct {
	*lookalike.Server
	url string
}

func newSite(t testing.TB, setup func(*lookalike.Server), projects ...lookalike.Project) *site {
	t.Helper()
	l := lookalike.New(projects...)
	l.Record = true
	if setup != nil {
		setup(l)
	}
	h := httptest.NewUnstartedServer(l)
	h.EnableHTTP2 = true // offered, and not to be taken
	l.Attach(h.Config)
	h.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	h.StartTLS()
	t.Cleanup(func() {
		l.Close()
		h.Close()
	})
	return &site{Server: l, url: h.URL}
}

// source is the site as a source of a pass.
func (s *site) source(t testing.TB, user physionet.Credentials, connections int) host.Source {
	t.Helper()
	source, err := physionet.New(physionet.Options{URL: s.url, Credentials: user, Version: "test", Connections: connections})
	must(t, err)
	return host.Source{Source: source, Budget: pace.NewBudget(connections)}
}

// rig is one mirror with everything to run passes over it.
type rig struct {
	t       testing.TB
	dir     string
	options rigOptions
	tree    *tree.Tree
	store   *store.Store
	syncer  *downloader.Syncer
	budget  *pace.Budget
	arrived *progress.Progress // of the last pass
}

type rigOptions struct {
	site        *site
	sources     []host.Source // the site if nil
	authority   *host.Source
	log         io.Writer // the test's if nil
	user        physionet.Credentials
	connections int
	idle        time.Duration
	dir         string // an existing mirror
	tree        tree.Options
	patience    time.Duration // with the manifest; a second if zero
	maxTransfer int64
	maxCost     *cost.Money
	observer    downloader.Observer
	changes     func(manifest.Ref, []report.Change) error
}

func newRig(t testing.TB, o rigOptions) *rig {
	t.Helper()
	if o.connections == 0 {
		o.connections = 4
	}
	if o.dir == "" {
		o.dir = t.TempDir()
	}
	r := &rig{t: t, dir: o.dir, options: o}
	r.open()
	t.Cleanup(r.close)
	t.Cleanup(func() {
		if r.store != nil {
			r.checkTree()
		}
	})
	return r
}

func (r *rig) open() {
	r.t.Helper()
	place, err := store.Locate(r.dir, "")
	must(r.t, err)
	r.store, err = store.Open(place, "test")
	must(r.t, err)
	r.tree, err = tree.Open(r.dir, r.options.tree)
	must(r.t, err)
	sources := r.options.sources
	if sources == nil {
		sources = []host.Source{r.options.site.source(r.t, r.options.user, r.options.connections)}
	}
	if r.options.log == nil {
		r.options.log = testWriter{r.t}
	}
	if r.options.patience == 0 {
		r.options.patience = time.Second
	}
	r.budget = sources[0].Budget
	r.syncer, err = downloader.New(downloader.Options{
		Tree: r.tree, Store: r.store, Sources: sources, Authority: r.options.authority, IdleTimeout: r.options.idle, Patience: r.options.patience,
		MaxTransfer: r.options.maxTransfer, MaxCost: r.options.maxCost, Observer: r.options.observer, Changes: r.options.changes,
		Logger: slog.New(slog.NewTextHandler(r.options.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	must(r.t, err)
}

func (r *rig) close() {
	if r.store == nil {
		return
	}
	must(r.t, r.tree.Close())
	must(r.t, r.store.Close())
	r.store = nil
}

// reopen is what the next process sees.
func (r *rig) reopen() {
	r.t.Helper()
	r.close()
	r.open()
}

// patience is how long a pass of a test may take, on a busy machine and under the
// race detector as well: one that hangs fails alone.
const patience = 5 * time.Minute

// pull runs a pass over demo@1.0 and expects it to end by itself.
func (r *rig) pull(include ...string) *report.Report {
	r.t.Helper()
	return r.pullWithin(patience, include...)
}

func (r *rig) pullWithin(d time.Duration, include ...string) *report.Report {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), d)
	defer cancel()
	report, err := r.tryPull(ctx, include...)
	if err != nil {
		r.t.Fatalf("Pull: %v", err)
	}
	return report
}

func (r *rig) tryPull(ctx context.Context, include ...string) (*report.Report, error) {
	selection, err := manifest.NewSelection(include, nil)
	must(r.t, err)
	r.arrived = new(progress.Progress)
	return r.syncer.Pull(ctx, demo, selection, r.arrived)
}

// checkTree is the invariant of every test: whatever has a final name and is in
// the manifest is right, and every record speaks of such a file.
func (r *rig) checkTree() {
	r.t.Helper()
	must(r.t, r.store.Check())
	versions, err := r.store.Versions()
	must(r.t, err)
	for _, v := range versions {
		f, err := os.Open(filepath.Join(r.dir, store.Dir, "manifests", v.Manifest.Digest.String()))
		must(r.t, err)
		recorded, err := r.store.Records(v.ID, 0, 1<<30, nil)
		must(r.t, err)
		for _, at := range recorded {
			if at.Record.Lost {
				continue // it claims nothing
			}
			e, err := manifest.EntryAt(f, at.Offset)
			must(r.t, err)
			name := filepath.Join(r.dir, v.Ref.Dataset, v.Ref.Version, filepath.FromSlash(e.Path))
			data, err := os.ReadFile(name)
			if err != nil {
				r.t.Errorf("recorded and not there: %v", err)
				continue
			}
			if got := manifest.Digest(sha256.Sum256(data)); got != e.Digest {
				r.t.Errorf("%s has digest %v, want %v", name, got, e.Digest)
			}
		}
		must(r.t, f.Close())
	}
	known := map[string]bool{}
	partials, err := r.store.Partials()
	must(r.t, err)
	for _, p := range partials {
		known[p.Digest.String()] = true
	}
	left, err := os.ReadDir(filepath.Join(r.dir, store.Dir, "partial"))
	must(r.t, err)
	for _, f := range left {
		if !known[f.Name()] {
			r.t.Errorf("the partial %s has no record", f.Name())
		}
	}
}

func (r *rig) path(name string) string {
	return filepath.Join(r.dir, "demo", "1.0", filepath.FromSlash(name))
}

func (r *rig) read(name string) []byte {
	r.t.Helper()
	b, err := os.ReadFile(r.path(name))
	must(r.t, err)
	return b
}

var demo = manifest.Ref{Dataset: "demo", Version: "1.0"}

// project is demo@1.0 with these files, open to all.
func project(files ...lookalike.GeneratedFile) lookalike.Project {
	g := lookalike.Generated(files)
	return lookalike.Project{Slug: "demo", Title: "Demo", Versions: []lookalike.Version{{
		Version: "1.0", Files: g, Manifest: g.Manifest(), Bytes: g.Bytes() + int64(len(g.Manifest())),
	}}}
}

func file(path string, size int64) lookalike.GeneratedFile {
	return lookalike.GeneratedFile{Path: path, Size: size}
}

// content is what the look-alike serves for a generated file.
func content(t testing.TB, f lookalike.GeneratedFile) []byte {
	t.Helper()
	b, err := fs.ReadFile(lookalike.Generated([]lookalike.GeneratedFile{f}), f.Path)
	must(t, err)
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// testWriter lets a failing test show what was logged.
type testWriter struct{ t testing.TB }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Log(string(b))
	return len(b), nil
}

var _ io.Writer = testWriter{}

// A disk that is unmounted leaves its mount point, which is another folder.
func TestATreeKnowsItsFolder(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "mirror")
	must(t, os.Mkdir(dir, 0o700))
	tree, err := tree.Open(dir, tree.Options{})
	must(t, err)
	defer func() { must(t, tree.Close()) }()
	must(t, tree.Present())
	must(t, os.Rename(dir, dir+".away"))
	if err := tree.Present(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Present() = %v without a folder", err)
	}
	must(t, os.Mkdir(dir, 0o700))
	if err := tree.Present(); err == nil || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Present() = %v with another folder", err)
	}
	must(t, os.Remove(dir))
	must(t, os.Rename(dir+".away", dir))
	must(t, tree.Present())
}
