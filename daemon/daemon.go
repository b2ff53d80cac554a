// Package daemon keeps mirrors fresh for years: it starts refreshes and scrubs
// when they are due, lets people pull, pause and cancel, and says what is going on.
//
// # What decides
//
// One goroutine, Run's, decides what starts and what must end: when something has
// happened, when something is due, and at least once a minute, because a timer
// does not run while a machine sleeps, and a clock may be set. Each pass has a
// goroutine of its own. There is one at a time for a dataset; those of different
// datasets share the Syncer, and with it the connections.
//
// A refresh and a scrub are due by the wall clock, from when the last one began
// (due.go). That, and whether it has come to its end, is in the store before the
// pass begins: what was missed while the machine slept or the daemon was away is
// done once, and what was broken off goes on.
//
// # What a pass leaves behind
//
// How a pass ended becomes the Condition of its dataset, and an event for people,
// each told once until it is cured (outcome.go, trouble.go).
//
// # What it does not do
//
// It knows nothing of HTTP or of configuration files, and it deletes nothing.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"mimicsync/daemon/notify"
	"mimicsync/downloader"
	"mimicsync/internal/durable"
	"mimicsync/manifest"
	"mimicsync/store"
)

// Errors that callers tell apart.
var (
	ErrMirrorGone  = errors.New("the mirror's folder is gone or is another one")
	ErrUnknown     = errors.New("the daemon does not know this dataset")
	ErrNotRunning  = errors.New("no pass runs")
	ErrNoSuchPass  = errors.New("no such pass")
	ErrBadSettings = errors.New("the configuration is not usable")
)

// Options is what a Daemon works with.
type Options struct {
	Program   string // the program's version
	Mirror    string // root folder of the mirror
	Syncer    *downloader.Syncer
	Bandwidth *downloader.Bandwidth
	Settings  Settings
	// Load reads the settings anew, for Reload. The notes are what changed and
	// needs a restart, in sentences.
	Load func() (s Settings, notes []string, err error)
	// CloseIdle closes connections that no request uses. It is called when
	// passes end. May be nil.
	CloseIdle func()
	Explain   func(error) (why, cure string) // words for a person; cmd has them
	Logger    *slog.Logger
}

// Daemon runs passes when they are due. Its methods may be called from any
// goroutine while Run runs.
type Daemon struct {
	o       Options
	host    string
	started time.Time
	wake    chan struct{}  // holds a value when there is something to decide
	told    chan struct{}  // the same for events to deliver
	passes  sync.WaitGroup // their goroutines
	// free asks for the room on the mirror's disk. Tests have another one.
	free func(path string) (durable.Space, error)

	mu       sync.Mutex // guards all that follows; nobody holds it while they wait for a disk or a network
	settings Settings
	limit    limit
	all      agenda // of all datasets together
	datasets map[string]*dataset
	recent   []*pass // the last ones asked for, the oldest first
	lastID   int64
	running  bool
	fatal    error // ends Run
	shortage *shortage
	space    durable.Space // on the mirror's disk, a minute ago at most
	traffic  traffic
	watchers map[chan struct{}]struct{}
	events   []notify.Event // to be delivered
}

// agenda is what the store remembers of a dataset.
type agenda struct {
	store.Agenda

	unsaved bool
}

// New returns a Daemon that has not begun, and reads from the store what the
// mirror has. The error is of the store, or ErrBadSettings.
func New(o Options) (*Daemon, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Explain == nil {
		o.Explain = func(err error) (string, string) { return err.Error(), "" }
	}
	host, err := os.Hostname()
	if err != nil {
		host = "localhost"
	}
	d := &Daemon{
		o: o, host: host, started: time.Now(), wake: make(chan struct{}, 1), told: make(chan struct{}, 1),
		free:     durable.Free,
		datasets: map[string]*dataset{}, watchers: map[chan struct{}]struct{}{},
	}
	if err := d.recall(); err != nil {
		return nil, err
	}
	if err := check(o.Settings); err != nil {
		return nil, err
	}
	d.adopt(o.Settings)
	d.space, err = durable.Free(o.Mirror)
	return d, err
}

// recall reads the store.
func (d *Daemon) recall() error {
	agendas, err := d.o.Syncer.Store.Agendas()
	if err != nil {
		return err
	}
	d.all.Agenda = agendas[store.AllDatasets]
	delete(agendas, store.AllDatasets)
	versions, err := d.o.Syncer.Store.Versions()
	if err != nil {
		return err
	}
	for _, v := range versions {
		if _, ok := agendas[v.Ref.Dataset]; !ok {
			agendas[v.Ref.Dataset] = store.Agenda{}
		}
	}
	for name, a := range agendas {
		s := d.dataset(name)
		s.agenda.Agenda = a
		if s.versions, err = d.count(name, nil); err != nil {
			return err
		}
		if err := d.recallPasses(s); err != nil {
			return err
		}
	}
	days, err := d.o.Syncer.Store.Received()
	d.traffic.days = days
	return err
}

// Run runs until ctx ends, and returns when all that it started has stopped: nil,
// or an error that wraps ErrMirrorGone, or is of the store.
func (d *Daemon) Run(ctx context.Context) error {
	d.setRunning(true)
	defer d.setRunning(false)
	quiet := make(chan struct{})
	var postman sync.WaitGroup
	postman.Go(func() { d.deliver(ctx, quiet) })

	err := d.decide(ctx)
	d.stopAll(stopDaemon)
	d.passes.Wait()
	if errors.Is(err, ErrMirrorGone) {
		d.mu.Lock()
		d.tell(notify.Event{Kind: notify.Mirror, Text: err.Error()})
		d.mu.Unlock()
	}
	err = errors.Join(err, d.save(), d.saveTraffic())
	close(quiet)
	postman.Wait()
	return err
}

// decide starts and ends passes until ctx ends or something ends the daemon.
func (d *Daemon) decide(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.wake:
		case <-timer.C:
		}
		wait, err := d.plan(ctx)
		if err != nil {
			return err
		}
		timer.Reset(wait)
	}
}

// plan ends what may not go on, starts what is due, and returns when to do it
// again at the latest.
func (d *Daemon) plan(ctx context.Context) (time.Duration, error) {
	if err := d.o.Syncer.Tree.Present(); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrMirrorGone, err)
	}
	space, err := d.free(d.o.Mirror)
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrMirrorGone, err)
	}
	now := time.Now().Round(0) // by the wall clock, from here on
	d.mu.Lock()
	if d.fatal != nil {
		defer d.mu.Unlock()
		return 0, d.fatal
	}
	d.space = space
	if d.shortage != nil && d.shortage.overIn(space) {
		d.shortage = nil
		d.change()
	}
	d.correctClocks(now)
	d.endWhatMust(now)
	start := d.choose(ctx, now)
	d.measure(now)
	wait := d.nextLook(now)
	d.mu.Unlock()
	if err := errors.Join(d.save(), d.saveTrafficNowAndThen(now)); err != nil {
		return 0, err
	}
	for _, run := range start {
		d.passes.Go(run)
	}
	return wait, nil
}

// endWhatMust breaks off passes that the schedule started and that may not go on.
func (d *Daemon) endWhatMust(now time.Time) {
	open, _ := d.settings.Windows.Open(now)
	for _, s := range d.datasets {
		switch p := s.running; {
		case p == nil || p.asked || p.stopping:
		case !open:
			p.stop(stopClosed)
		case p.kind == ScrubPass && (s.hasAsked() || isDue(s.refreshAt(now), now)):
			p.stop(stopScrub)
		}
	}
}

// choose returns the passes that begin, one at most for a dataset.
func (d *Daemon) choose(ctx context.Context, now time.Time) []func() {
	open, _ := d.settings.Windows.Open(now)
	var start []func()
	for _, s := range d.sorted() {
		if s.running != nil {
			continue
		}
		p := s.takeAsked(d.mayGoOn(s))
		if p == nil && open && d.mayGoOn(s) {
			p = d.due(s, now)
		}
		if p == nil {
			continue
		}
		p.start = now
		s.running = p
		pctx, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
		p.cancel = cancel
		start = append(start, func() { d.run(pctx, s, p) })
		d.o.Logger.InfoContext(ctx, "pass starts", "dataset", p.request.Ref.String(), "kind", string(p.kind), "pass", p.id)
		d.change()
	}
	return start
}

// due returns the pass that the schedule wants to begin, nil if none.
func (d *Daemon) due(s *dataset, now time.Time) *pass {
	switch {
	case isDue(s.refreshAt(now), now):
		s.agenda.Ref, s.agenda.Refreshed, s.agenda.Refreshing, s.agenda.unsaved = s.settings.Ref, now, true, true
		return d.newPass(RefreshPass, s.request())
	case isDue(s.scrubAt(d.settings.Scrub, now), now) && !d.scrubs():
		if !s.agenda.Scrubbing {
			s.agenda.Scrubbed, s.agenda.Scrubbing, s.agenda.unsaved = now, true, true
		}
		p := d.newPass(ScrubPass, PullRequest{Ref: manifest.Ref{Dataset: s.name}})
		p.repair = true
		if s.settings != nil {
			p.request.Sources = s.settings.Sources
		}
		return p
	}
	return nil
}

// mayGoOn reports whether passes of a dataset go on by themselves, but for the
// run windows.
func (d *Daemon) mayGoOn(s *dataset) bool {
	return !d.all.Paused && !s.agenda.Paused && d.shortage == nil
}

// scrubs reports whether a scrub runs: its rate is that of the whole mirror.
func (d *Daemon) scrubs() bool {
	for _, s := range d.datasets {
		if s.running != nil && s.running.kind == ScrubPass {
			return true
		}
	}
	return false
}

// nextLook is how long the daemon may sleep.
func (d *Daemon) nextLook(now time.Time) time.Duration {
	const most = time.Minute
	wait := most
	consider := func(t time.Time) {
		if until := t.Sub(now); until > 0 {
			wait = min(wait, until)
		}
	}
	_, changes := d.settings.Windows.Open(now)
	consider(changes)
	for _, s := range d.datasets {
		if s.running != nil {
			return min(wait, time.Second) // to measure the traffic
		}
		consider(s.refreshAt(now))
		consider(s.scrubAt(d.settings.Scrub, now))
	}
	return wait
}

// sorted returns the datasets by name.
func (d *Daemon) sorted() []*dataset {
	all := make([]*dataset, 0, len(d.datasets))
	for _, s := range d.datasets {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *dataset) int { return strings.Compare(a.name, b.name) })
	return all
}

// save writes what is to be remembered. Only Run's goroutine calls it, so that
// the latest is written last.
func (d *Daemon) save() error {
	agendas := map[string]store.Agenda{}
	d.mu.Lock()
	for _, s := range d.datasets {
		if s.agenda.unsaved {
			agendas[s.name] = s.agenda.snapshot()
		}
	}
	if d.all.unsaved {
		agendas[store.AllDatasets] = d.all.snapshot()
	}
	d.mu.Unlock()
	if len(agendas) == 0 {
		return nil
	}
	return d.o.Syncer.Store.PutAgendas(agendas)
}

// decideSoon makes Run look again. Status has changed, too.
func (d *Daemon) decideSoon() {
	d.change()
	select {
	case d.wake <- struct{}{}:
	default: // it will
	}
}

func (d *Daemon) setRunning(running bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = running
	d.change()
}

// stopAll breaks off every pass.
func (d *Daemon) stopAll(why *stop) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.datasets {
		if s.running != nil {
			s.running.stop(why)
		}
	}
}
