// Package daemon keeps mirrors up to date for years: it starts refreshes and scrubs when
// they are due, lets people pull, pause and cancel, and reports its state.
//
// # Decisions
//
// One goroutine, Run's, decides which passes start and stop: when something has happened,
// when something is due, and at least once a minute, because timers stop while a machine
// sleeps and clocks may be set. Each pass has its own goroutine. A dataset has at most one
// pass at a time; passes of different datasets share the Syncer, and with it the
// connections.
//
// Refreshes and scrubs are due by the wall clock, counted from when the last one began
// (due.go). That time, and whether it has finished, are in the store before the pass
// begins: what was missed while the machine slept or the daemon was stopped is done once,
// and an interrupted pass continues.
//
// # Results
//
// The end of a pass sets the Condition of its dataset, and notifies people once of each
// problem until it is solved (outcome.go, space.go).
//
// # Limits
//
// The package knows nothing of HTTP or configuration files, and deletes nothing except in
// Prune.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"sync"
	"time"

	"mimicsync/daemon/notify"
	"mimicsync/downloader"
	"mimicsync/downloader/pace"
	"mimicsync/internal/durable"
	"mimicsync/store"
)

// Errors that callers distinguish.
var (
	ErrMirrorGone  = errors.New("the mirror's folder is gone or was replaced by another")
	ErrBusy        = errors.New("the dataset is in use")
	ErrUnknown     = errors.New("the daemon doesn't know this dataset")
	ErrNotRunning  = errors.New("no pass is running")
	ErrNoSuchPass  = errors.New("no such pass")
	ErrBadSettings = errors.New("the configuration is not usable")

	// ErrOtherJob is an ErrBusy whose cause isn't a pass.
	ErrOtherJob = fmt.Errorf("%w: another command is planning or pruning it", ErrBusy)
)

// Options configures a Daemon.
type Options struct {
	Program   string // the program's version
	Mirror    string // root folder of the mirror
	Syncer    *downloader.Syncer
	Bandwidth *pace.Bandwidth // gets the limit of the Settings; nil: no limit
	Settings  Settings
	// Load reads the settings again, for Reload. The notes say, in sentences, which changes
	// need a restart. It is nil if there is no configuration file.
	Load func() (s Settings, notes []string, err error)
	// CloseIdle closes unused connections. It is called when the last pass ends. It may be
	// nil.
	CloseIdle func()
	// Explain returns an error's text for people, and what to do about it. It may be nil.
	Explain func(error) (why, cure string)
	Logger  *slog.Logger // nil: nothing is logged
}

// Daemon runs passes when they are due. While Run runs, its methods may be called from any
// goroutine.
type Daemon struct {
	o       Options
	host    string
	started time.Time
	wake    chan struct{}  // holds a value when there is something to decide
	told    chan struct{}  // holds a value when there are events to deliver
	ending  chan struct{}  // closed when Run ends
	passes  sync.WaitGroup // the goroutines of passes and jobs
	// free returns the free space of the mirror's disk. Tests replace it.
	free func(path string) (durable.Space, error)

	mu       sync.Mutex // guards the fields below; never held while waiting for a disk or network
	settings Settings
	limit    limit
	all      agenda // of all datasets
	datasets map[string]*dataset
	recent   []*pass // the last passes asked for, oldest first
	lastID   int64
	running  bool
	fatal    error // ends Run
	shortage *shortage
	space    durable.Space // of the mirror's disk, at most a minute old
	traffic  traffic
	watchers map[chan struct{}]struct{}
	lines    map[addressee]*line // events to deliver

	lastDecision time.Time // by the monotonic clock
}

// agenda is a dataset's part of the store.
type agenda struct {
	store.Agenda

	unsaved bool
}

// New returns a Daemon that isn't running yet, and reads from the store what the mirror
// has. The error comes from the store or is ErrBadSettings.
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
		o: o, host: host, started: time.Now(), wake: make(chan struct{}, 1), told: make(chan struct{}, 1), ending: make(chan struct{}),
		free:     durable.Free,
		datasets: map[string]*dataset{}, watchers: map[chan struct{}]struct{}{}, lines: map[addressee]*line{},
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

// Run runs until ctx ends, and returns when everything that it started has stopped. It
// returns nil, an error that wraps ErrMirrorGone, or an error of the store.
func (d *Daemon) Run(ctx context.Context) error {
	d.setRunning(true)
	defer d.setRunning(false)
	quiet := make(chan struct{})
	delivery, cutOff := context.WithCancelCause(context.WithoutCancel(ctx))
	defer cutOff(nil)
	var postman sync.WaitGroup
	postman.Go(func() { d.deliver(delivery, quiet) })

	err := d.decide(ctx)
	defer time.AfterFunc(lastWords, func() { cutOff(errLastWords) }).Stop()
	if errors.Is(err, ErrMirrorGone) {
		d.mu.Lock()
		d.tell(notify.Event{Kind: notify.Mirror, Text: err.Error()})
		d.mu.Unlock()
	}
	d.stopAll(stopDaemon)
	d.passes.Wait()
	err = errors.Join(err, d.save(), d.saveTraffic())
	close(quiet)
	postman.Wait()
	return err
}

// decide starts and stops passes until ctx ends or an error ends the daemon.
func (d *Daemon) decide(ctx context.Context) error {
	d.decided() // the first decision counts from now
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-d.wake:
		case <-timer.C:
		}
		wait, err := d.decideOnce(ctx)
		if err != nil {
			return err
		}
		d.decided()
		timer.Reset(wait)
	}
}

// save writes the agendas to the store. Only Run's goroutine calls it, so that the latest
// is written last.
func (d *Daemon) save() error {
	agendas, changed := map[string]store.Agenda{}, map[string]*agenda{}
	d.mu.Lock()
	for _, s := range d.datasets {
		changed[s.name] = &s.agenda
	}
	changed[store.AllDatasets] = &d.all
	maps.DeleteFunc(changed, func(_ string, a *agenda) bool { return !a.unsaved })
	for name, a := range changed {
		agendas[name] = a.snapshot()
	}
	d.mu.Unlock()
	if len(agendas) == 0 {
		return nil
	}
	err := d.o.Syncer.Store.PutAgendas(agendas)
	if err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		for _, a := range changed {
			a.unsaved = true
		}
	}
	return err
}

func (d *Daemon) setRunning(running bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = running
	d.change()
}

// stopAll stops every pass and job, and lets no job begin.
func (d *Daemon) stopAll(why *stop) {
	d.mu.Lock()
	defer d.mu.Unlock()
	close(d.ending)
	for _, s := range d.datasets {
		if s.running != nil {
			s.running.stop(why)
		}
	}
}
