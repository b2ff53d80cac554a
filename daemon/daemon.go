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
// each told once until it is cured (outcome.go, space.go).
//
// # What it does not do
//
// It knows nothing of HTTP or of configuration files, and it deletes nothing but
// what a person wants pruned.
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

// Errors that callers tell apart.
var (
	ErrMirrorGone  = errors.New("the mirror's folder is gone or is another one")
	ErrBusy        = errors.New("the dataset is in use")
	ErrUnknown     = errors.New("the daemon does not know this dataset")
	ErrNotRunning  = errors.New("no pass is running")
	ErrNoSuchPass  = errors.New("no such pass")
	ErrBadSettings = errors.New("the configuration is not usable")

	// ErrOtherJob is an ErrBusy that no pass is the cause of.
	ErrOtherJob = fmt.Errorf("%w: another command is planning or pruning it", ErrBusy)
)

// Options is what a Daemon works with.
type Options struct {
	Program   string // the program's version
	Mirror    string // root folder of the mirror
	Syncer    *downloader.Syncer
	Bandwidth *pace.Bandwidth // gets the limit of the Settings; nil: there is none
	Settings  Settings
	// Load reads the settings anew, for Reload. The notes are what changed and
	// needs a restart, in sentences. It is nil where there is no configuration.
	Load func() (s Settings, notes []string, err error)
	// CloseIdle closes connections that no request uses. It is called when
	// passes end. May be nil.
	CloseIdle func()
	// Explain finds the words for a person, and what to do. It may be nil.
	Explain func(error) (why, cure string)
	Logger  *slog.Logger // nil: nothing is logged
}

// Daemon runs passes when they are due. Its methods may be called from any
// goroutine while Run runs.
type Daemon struct {
	o       Options
	host    string
	started time.Time
	wake    chan struct{}  // holds a value when there is something to decide
	told    chan struct{}  // the same for events to deliver
	ending  chan struct{}  // is closed when Run ends
	passes  sync.WaitGroup // their goroutines, and jobs
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
	lines    map[addressee]*line // events to be delivered

	lastDecision time.Time // by the monotonic clock
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

// Run runs until ctx ends, and returns when all that it started has stopped: nil,
// or an error that wraps ErrMirrorGone, or is of the store.
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

// decide starts and ends passes until ctx ends or something ends the daemon.
func (d *Daemon) decide(ctx context.Context) error {
	d.decided() // to look around
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

// save writes what is to be remembered. Only Run's goroutine calls it, so that
// the latest is written last.
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

// stopAll breaks off every pass and job, and lets no job begin any more.
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
