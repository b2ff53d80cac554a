package api

import (
	"context"
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"mimicsync/daemon"
	"mimicsync/downloader"
	"mimicsync/downloader/host"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/source/physionet"
	"mimicsync/downloader/tree"
	"mimicsync/store"
)

// lab is a daemon over a mirror of its own, with a look-alike of PhysioNet that
// has demo@1.0.
type lab struct {
	*lookalike.Server
	dir      string
	daemon   *daemon.Daemon
	settings daemon.Settings
	loadErr  error // of the next reload
}

const demoFiles = 20

func newLab(t *testing.T) *lab {
	t.Helper()
	files := lookalike.Generated(lookalike.CXR(demoFiles, func(int) int64 { return 5000 }))
	l := &lab{dir: t.TempDir(), Server: lookalike.New(lookalike.Project{Slug: "demo", Title: "Demo", Policy: lookalike.Open, Versions: []lookalike.Version{
		{Version: "1.0", Files: files, Manifest: files.Manifest(), Bytes: files.Bytes()},
	}})}
	site := httptest.NewServer(l.Server)
	t.Cleanup(func() {
		l.Close()
		site.Close()
	})
	source, err := physionet.New(physionet.Options{URL: site.URL, Version: "test", Connections: 2})
	must(t, err)
	place, err := store.Locate(l.dir, "")
	must(t, err)
	state, err := store.Open(place, "daemon")
	must(t, err)
	tree, err := tree.Open(l.dir, tree.Options{})
	must(t, err)
	t.Cleanup(func() { must(t, errors.Join(tree.Close(), state.Close())) })
	syncer, err := downloader.New(downloader.Options{
		Tree: tree, Store: state, Sources: []host.Source{{Source: source, Budget: pace.NewBudget(2)}},
	})
	must(t, err)
	l.daemon, err = daemon.New(daemon.Options{
		Program: "test", Mirror: l.dir, Syncer: syncer, Bandwidth: pace.NewBandwidth(nil),
		Load: func() (daemon.Settings, []string, error) {
			return l.settings, []string{"listen: it needs a restart"}, l.loadErr
		},
	})
	must(t, err)
	return l
}

// run runs the daemon and serves it, on loopback over TCP too, until the test
// ends. The client is on the socket.
func (l *lab) run(t *testing.T) (*Server, *Client) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- l.daemon.Run(ctx) }()
	s, stop := start(t, l.daemon, l.dir)
	client, err := Dial(t.Context(), l.dir)
	must(t, err)
	t.Cleanup(func() {
		client.Close()
		stop()
		cancel()
		must(t, <-ended)
	})
	return s, client
}

// start serves a daemon on a mirror, and on loopback over TCP, until stop.
func start(t *testing.T, d *daemon.Daemon, mirror string) (s *Server, stop func()) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(mirror, store.Dir), 0o700))
	s = New(d, Options{Mirror: mirror, Listen: []string{"127.0.0.1:0"}, Token: testToken, Advise: func(error) (int, string) { return 4, "sign it" }})
	must(t, s.Listen(t.Context()))
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	return s, func() {
		t.Helper()
		cancel()
		must(t, <-served)
	}
}

// idleDaemon is one that does not run.
func idleDaemon(t *testing.T) *daemon.Daemon {
	t.Helper()
	return newLab(t).daemon
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
