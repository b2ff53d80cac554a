package daemon_test

import (
	"cmp"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/daemon"
	"mimicsync/daemon/notify"
	"mimicsync/downloader"
	"mimicsync/downloader/host"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/tree"
	"mimicsync/manifest"
	"mimicsync/store"
)

// takesTime marks a test that takes a good part of a second, or more.
func takesTime(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes its time")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// rig is a daemon over a mirror in a temporary folder, and its library.
type rig struct {
	*daemon.Daemon

	t        testing.TB
	dir      string
	library  *library
	settings daemon.Settings
	store    *store.Store
	tree     *tree.Tree
	syncer   *downloader.Syncer
	inbox    *inbox
	closed   atomic.Int64              // calls of CloseIdle
	free     atomic.Int64              // bytes on the disk; 0: plenty
	adjust   func(*downloader.Options) // before the mirror is opened; may be nil

	cancel context.CancelFunc
	ended  chan struct{}
	err    error // of Run
}

// newRig makes a rig whose daemon has not begun.
func newRig(t testing.TB, l *library, s daemon.Settings) *rig {
	return newRigIn(t, t.TempDir(), l, s)
}

// newRigIn does so over a mirror that is there, and makes no folder: a process
// that is killed would leave it.
func newRigIn(t testing.TB, dir string, l *library, s daemon.Settings) *rig {
	r := &rig{t: t, dir: dir, library: l, settings: s, inbox: &inbox{}}
	r.settings.Notifiers = append(r.settings.Notifiers, r.inbox)
	return r
}

// start opens the mirror and starts the daemon, as a process does.
func (r *rig) start() {
	r.t.Helper()
	r.startIn(r.t.Context())
}

func (r *rig) startIn(ctx context.Context) {
	r.t.Helper()
	r.open()
	ctx, cancel := context.WithCancel(ctx)
	r.cancel, r.ended = cancel, make(chan struct{})
	go func() {
		defer close(r.ended)
		r.err = r.Run(ctx)
	}()
}

func (r *rig) open() {
	r.t.Helper()
	place, err := store.Locate(r.dir, "")
	must(r.t, err)
	r.store, err = store.Open(place, "daemon")
	must(r.t, err)
	r.tree, err = tree.Open(r.dir, tree.Options{Durability: tree.NoDurability})
	must(r.t, err)
	o := downloader.Options{
		Tree: r.tree, Store: r.store, Sources: []host.Source{{Source: r.library, Budget: pace.NewBudget(4)}},
	}
	if r.adjust != nil {
		r.adjust(&o)
	}
	r.syncer, err = downloader.New(o)
	must(r.t, err)
	r.Daemon, err = daemon.New(daemon.Options{
		Program: "test", Mirror: r.dir, Syncer: r.syncer, Settings: r.settings,
		Load:      func() (daemon.Settings, []string, error) { return r.settings, nil, nil },
		CloseIdle: func() { r.closed.Add(1) },
		Explain:   func(err error) (string, string) { return err.Error(), "the cure" },
	})
	must(r.t, err)
	r.SetFree(func() int64 { return cmp.Or(r.free.Load(), 1<<40) })
}

// stop ends the daemon in good order, closes the mirror, and checks it.
func (r *rig) stop() {
	r.t.Helper()
	r.cancel()
	<-r.ended
	must(r.t, r.err)
	r.close()
}

func (r *rig) close() {
	r.t.Helper()
	r.check()
	must(r.t, errors.Join(r.tree.Close(), r.store.Close()))
}

// check fails the test unless store and tree agree: every record's file is there
// and right.
func (r *rig) check() {
	r.t.Helper()
	versions, err := r.store.Versions()
	must(r.t, err)
	for _, v := range versions {
		found, err := r.syncer.Verify(context.Background(), v.Ref, manifest.Selection{}, new(progress.Progress))
		must(r.t, err)
		if found.Failed() > 0 {
			r.t.Errorf("%s: %d files are wrong and %d missing that the store has records of: %+v", v.Ref, found.Wrong, found.Missing, found.Failures)
		}
	}
}

// dataset returns the status of one.
func (r *rig) dataset(name string) daemon.DatasetStatus {
	for _, s := range r.Status().Datasets {
		if s.Dataset == name {
			return s
		}
	}
	return daemon.DatasetStatus{}
}

// want fails the test unless a dataset stands as it should.
func (r *rig) want(name string, c daemon.Condition) {
	r.t.Helper()
	synctest.Wait()
	if s := r.dataset(name); s.Condition != c {
		r.t.Errorf("%s: %s is %s (%s), want %s", time.Now().Format(time.DateTime), name, s.Condition, s.Why, c)
	}
}

func (r *rig) path(name string) string { return filepath.Join(r.dir, filepath.FromSlash(name)) }

// has fails the test unless a file is in the mirror with this content.
func (r *rig) has(name, content string) {
	r.t.Helper()
	got, err := os.ReadFile(r.path(name))
	if err != nil || string(got) != content {
		r.t.Errorf("%s is %.20q (%v), want %.20q", name, got, err, content)
	}
}

// inbox is a notifier that keeps what it is told.
type inbox struct {
	mu     sync.Mutex
	events []notify.Event
}

func (*inbox) Name() string           { return "inbox" }
func (*inbox) Wants(notify.Kind) bool { return true }
func (n *inbox) Notify(_ context.Context, e notify.Event) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.events = append(n.events, e)
	return nil
}

// last is what came last.
func (n *inbox) last() notify.Event {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.events) == 0 {
		return notify.Event{}
	}
	return n.events[len(n.events)-1]
}

// take returns what has come since the last call, sorted, as "kind dataset".
func (n *inbox) take() []string {
	synctest.Wait()
	n.mu.Lock()
	defer n.mu.Unlock()
	var got []string
	for _, e := range n.events {
		got = append(got, string(e.Kind)+" "+e.Dataset)
	}
	n.events = nil
	slices.Sort(got)
	return got
}

// wantEvents fails the test unless just these events have come since the last call.
func (r *rig) wantEvents(want ...string) {
	r.t.Helper()
	slices.Sort(want)
	if got := r.inbox.take(); !slices.Equal(got, want) {
		r.t.Errorf("%s: people were told %q, want %q", time.Now().Format(time.DateTime), got, want)
	}
}

// schedule is a cron expression in UTC.
func schedule(t testing.TB, expression string) *daemon.Schedule {
	t.Helper()
	s, err := daemon.ParseSchedule(expression, "UTC", 0, "")
	must(t, err)
	return s
}

func ref(t testing.TB, s string) manifest.Ref {
	t.Helper()
	r, err := manifest.ParseRef(s)
	must(t, err)
	return r
}
