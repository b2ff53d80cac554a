package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/configs"
	"mimicsync/daemon"
	"mimicsync/daemon/api"
	"mimicsync/daemon/dashboard"
	"mimicsync/daemon/metrics"
	"mimicsync/daemon/notify"
)

// serving is the process of a daemon: it has one daemon.Daemon after another, each for as
// long as the mirror exists.
type serving struct {
	app     *app
	listen  []string
	logger  *slog.Logger
	manager supervisor
	metrics *metrics.Metrics
	served  served
	hangups <-chan struct{}
	poll    time.Duration // how often it looks for a missing mirror
	config  configWatch
	look    time.Duration // how often it looks at the configuration file
	token   string        // of the API, once it was read

	settings   atomic.Pointer[daemon.Settings] // the last valid ones
	configured atomic.Bool                     // a configuration file has set something
	daemon     atomic.Pointer[daemon.Daemon]   // the present one, nil while the mirror is missing
}

func (a *app) newServing(listen []string, hangups <-chan struct{}) (*serving, error) {
	mirror, err := filepath.Abs(a.mirror)
	if err != nil {
		return nil, err
	}
	a.mirror, a.ui.Adviser.Mirror = mirror, mirror // readers of a daemon's hints may have another default
	a.credentialsFile = cmp.Or(a.credentialsFile, systemCredentials())
	a.serves = true
	a.sources, a.billingProject = daemonSources(a.file), a.file.GCS.BillingProject
	s := &serving{
		app: a, listen: listen, logger: a.logger(), metrics: metrics.New(), served: servedMirror(mirror), hangups: hangups, poll: 30 * time.Second, look: 30 * time.Second,
	}
	s.config.path, _ = a.configPath()
	s.config.take()
	if s.listen == nil {
		s.listen = a.file.Listen
	}
	if s.listen == nil {
		s.listen = []string{configs.DefaultListen}
	}
	for _, address := range s.listen {
		if err := configs.CheckAddress(address); err != nil {
			return nil, &advice.UsageError{Err: fmt.Errorf("--listen: %w", err), Hint: "see: mimicsync daemon --help"}
		}
	}
	s.manager = supervisor{s.logger}
	s.metrics.Follow(s.status)
	a.observer = s.metrics
	settings, err := s.interpret(a.file)
	if err != nil {
		return nil, &advice.ConfigError{Err: err}
	}
	s.settings.Store(&settings)
	s.configured.Store(!isEmpty(a.file))
	return s, nil
}

// status is that of the present daemon, if there is one.
func (s *serving) status() daemon.Status {
	if d := s.daemon.Load(); d != nil {
		return d.Status()
	}
	return daemon.Status{Program: version(), Mirror: s.app.mirror}
}

func (s *serving) tokenFile() string {
	return cmp.Or(s.app.file.TokenFile, api.TokenFile(s.app.mirror))
}

// run serves the mirror until ctx ends, and waits while it is missing.
func (s *serving) run(ctx context.Context) error {
	gone := s.served.away()
	for {
		if gone != nil {
			if err := s.await(ctx, gone); err != nil {
				return err
			}
		}
		err := s.serve(ctx)
		// In the first case the daemon has notified people; in the second the mirror
		// disappeared before there was one.
		if _, away := errors.AsType[*awayError](err); !away && !errors.Is(err, daemon.ErrMirrorGone) {
			return err
		}
		gone = err
	}
}

// serve opens the mirror and runs a daemon for it. Nothing of either is left when it
// returns.
func (s *serving) serve(ctx context.Context) (err error) {
	m, err := s.app.openMirror(ctx, advice.DaemonOwner, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	if err := s.served.remember(); err != nil {
		s.logger.WarnContext(ctx, "cannot remember the mirror: if its disk is not mounted one day, another mirror is begun in its place", "err", err)
	}
	d, err := daemon.New(daemon.Options{
		Program: version(), Mirror: s.app.mirror, Syncer: m.syncer, Bandwidth: s.app.limits.bandwidth,
		Settings: *s.settings.Load(), Load: s.load, CloseIdle: m.syncer.CloseIdleConnections, Explain: s.explain, Logger: s.logger,
	})
	if err != nil {
		return err
	}
	server, err := s.server(d)
	if err != nil {
		return err
	}
	if err := server.Listen(ctx); err != nil {
		return err
	}
	s.daemon.Store(d)
	defer s.daemon.Store(nil)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return m.store.AwaitLoss(ctx) })
	g.Go(func() error { return d.Run(ctx) })
	g.Go(func() error { return server.Serve(ctx) })
	g.Go(func() error {
		s.reload(ctx, d.Reload, func() string { return statusLine(d.Status()) })
		return nil
	})
	s.manager.ready(statusLine(d.Status()))
	s.announce(d, server.Addresses())
	g.Go(func() error {
		s.manager.watch(ctx, func() (string, bool) { return statusLine(d.Status()), d.Alive() })
		return nil
	})
	return g.Wait()
}

func (s *serving) server(d *daemon.Daemon) (*api.Server, error) {
	var err error
	if s.token, err = api.Token(s.app.mirror, s.app.file.TokenFile); err != nil {
		return nil, &advice.ConfigError{Err: err}
	}
	page := s.beside(d.Ready, dashboard.New(dashboard.Options{Daemon: d, MayChange: api.MayChange, Logger: s.logger}))
	return api.New(d, api.Options{
		Mirror: s.app.mirror, Listen: s.listen, Hosts: s.app.file.Hosts, Token: s.token, Page: page, Logger: s.logger,
		Advise: s.app.ui.Adviser.ForClient,
	}), nil
}

// beside adds the endpoints for programs to the page for people.
func (s *serving) beside(ready func() error, page http.Handler) http.Handler {
	mux := http.NewServeMux()
	for _, path := range []string{"GET /metrics", "GET /healthz", "GET /readyz"} {
		mux.Handle(path, s.metrics.Handler(ready))
	}
	mux.Handle("/", page)
	return mux
}

// reload applies the configuration at each SIGHUP and when its file has changed, and
// reports the status again.
func (s *serving) reload(ctx context.Context, take func(context.Context) (notes []string, err error), status func() string) {
	look := time.NewTicker(s.look)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.hangups:
		case <-look.C:
			if !s.configChanged(ctx) {
				continue
			}
		}
		s.manager.reloading()
		notes, err := take(ctx)
		if err != nil {
			s.logger.ErrorContext(ctx, "configuration not reloaded", "err", err)
		}
		for _, note := range notes {
			s.logger.WarnContext(ctx, "configuration change needs a restart", "why", note)
		}
		s.manager.ready(status())
	}
}

// configChanged looks at the configuration file. If it is missing or empty, that isn't a
// change, but gets a warning.
func (s *serving) configChanged(ctx context.Context) bool {
	changed, err := s.config.look()
	if err != nil {
		s.logger.ErrorContext(ctx, "configuration not reloaded", "file", s.config.path, "err", fmt.Errorf("%w; the one in force stays", err))
	}
	return changed
}

// loadForLater reads the configuration for the next daemon, while there is none.
func (s *serving) loadForLater(ctx context.Context) (notes []string, err error) {
	settings, notes, err := s.load()
	if err == nil {
		s.logger.InfoContext(ctx, "configuration reloaded", "datasets", len(settings.Datasets))
	}
	return notes, err
}

// await returns nil when a missing mirror is back. Meanwhile the daemon's addresses say why
// it isn't ready.
func (s *serving) await(ctx context.Context, gone error) error {
	server, err := s.excuse(gone)
	if err != nil {
		return err
	}
	if err := server.Listen(ctx); err != nil {
		return err
	}
	stopped, stop := context.WithCancel(ctx)
	defer stop()
	g, ctx := errgroup.WithContext(stopped)
	g.Go(func() error { return server.Serve(ctx) })
	s.sayAway(ctx, gone, server.Addresses())
	if away, ok := errors.AsType[*awayError](gone); ok {
		for _, n := range s.settings.Load().Notifiers {
			g.Go(func() error { s.notify(ctx, n, away); return nil })
		}
	}
	line := "waiting for the mirror: " + gone.Error()
	s.manager.ready(line)
	g.Go(func() error {
		s.manager.watch(ctx, func() (string, bool) { return line, true })
		return nil
	})
	g.Go(func() error {
		s.reload(ctx, s.loadForLater, func() string { return line })
		return nil
	})
	g.Go(func() error {
		defer stop()
		return s.untilBack(ctx)
	})
	return g.Wait()
}

// sayAway logs the missing mirror with advice: on its own line in a log for people, as a
// field in one for programs.
func (s *serving) sayAway(ctx context.Context, gone error, addresses []string) {
	logger, text := s.logger, s.app.logsText()
	away, ok := errors.AsType[*awayError](gone)
	if ok && !text {
		logger = logger.With("cure", away.cure())
	}
	logger.ErrorContext(ctx, "mirror away", "mirror", s.app.mirror, "addresses", addresses, "err", gone)
	if ok && text {
		s.app.ui.Lines("hint", away.cure())
	}
}

func (s *serving) untilBack(ctx context.Context) error {
	ticker := time.NewTicker(s.poll)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
		}
		if s.served.here() {
			s.logger.InfoContext(ctx, "mirror back", "mirror", s.app.mirror)
			return nil
		}
	}
}

// excuse answers instead of a daemon that has no mirror. A token in the mirror is missing,
// too, unless the daemon has read it before.
func (s *serving) excuse(gone error) (*api.Server, error) {
	since, token := time.Now(), s.token
	if file := s.app.file.TokenFile; token == "" && file != "" {
		var err error
		if token, err = api.Token(s.app.mirror, file); err != nil {
			return nil, &advice.ConfigError{Err: err}
		}
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Refresh", strconv.Itoa(int(s.poll.Seconds())))
		http.Error(w, waitForMirror(gone, since, s.poll), http.StatusServiceUnavailable)
	})
	return api.New(nil, api.Options{
		Listen: s.listen, Hosts: s.app.file.Hosts, Token: token, Page: s.beside(func() error { return gone }, page), Logger: s.logger,
	}), nil
}

// waitForMirror is the page's text while there is no mirror.
func waitForMirror(gone error, since time.Time, poll time.Duration) string {
	return fmt.Sprintf("The daemon has been waiting for its mirror since %s: %v.\nIt checks every %s, and continues automatically. Its log says what to do.",
		since.Local().Format(time.DateTime), gone, words.Countdown(poll))
}

// notify notifies people that the mirror is gone. A daemon does so by itself; here there is
// none yet.
func (s *serving) notify(ctx context.Context, n notify.Notifier, away *awayError) {
	if !n.Wants(notify.Mirror) {
		return
	}
	host, _ := os.Hostname() // without a name, the rest still helps
	e := notify.Event{Kind: notify.Mirror, Time: time.Now(), Host: host, Mirror: s.app.mirror, Text: away.Error(), Cure: away.cure()}
	if err := n.Notify(ctx, e); err != nil {
		s.logger.WarnContext(ctx, "nobody was told", "notifier", n.Name(), "err", err)
	}
}
