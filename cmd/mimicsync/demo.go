package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/cmd/mimicsync/internal/words"
	"mimicsync/downloader/failure"
	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/pace"
	"mimicsync/downloader/progress"
	"mimicsync/downloader/source/physionet"
	"mimicsync/manifest"
)

func (a *app) demoCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "See it work on this machine, without network or account",
		Long: `Demo starts a simulated PhysioNet on this machine, with a generated dataset in the
layout of MIMIC-CXR, and pulls it despite a stalled connection, a busy server, a damaged
file and a Ctrl-C in the middle. It takes about 10 seconds, and 85 MB of disk that it
frees again.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.demo(cmd.Context()) },
	}
	cmd.Flags().StringVar(&a.progress, "progress", "auto", "`how` to show progress: auto, bar, plain or none")
	return cmd
}

const (
	demoFiles   = 2000
	demoBigFile = "mimic-cxr-reports.zip"
	demoBigSize = 64 << 20
	// demoRate is the look-alike's rate per connection. With PhysioNet's 40 KB/s the demo
	// would take too long.
	demoRate = 11 << 20
	// demoInterrupt is when the Ctrl-C comes: in the middle of the big file.
	demoInterrupt = 48 << 20
)

var demoRef = manifest.Ref{Dataset: "cxr-demo", Version: "1.0"}

// demoSite is the look-alike with the demo's dataset.
type demoSite struct {
	*lookalike.Server
	http    *http.Server
	url     string
	size    int64
	trouble []*lookalike.Injected
}

func newDemoSite() (*demoSite, error) {
	files := lookalike.CXR(demoFiles-1, func(i int) int64 { return 4000 + int64(i*7919%9000) })
	fs := lookalike.Generated(append(files, lookalike.GeneratedFile{Path: demoBigFile, Size: demoBigSize}))
	sums := fs.Manifest()
	s := &demoSite{size: fs.Bytes() + int64(len(sums))}
	s.Server = lookalike.New(lookalike.Project{
		Slug: demoRef.Dataset, Title: "A demo in the layout of MIMIC-CXR", Policy: lookalike.Credentialed,
		Versions: []lookalike.Version{{Version: demoRef.Version, Files: fs, Manifest: sums, Bytes: s.size}},
	})
	s.PlainBasic = true // no TLS: nothing leaves this machine
	s.BytesPerSecondPerConn = demoRate
	s.AddUser(lookalike.User{Name: "demo", Password: "demo", Credentialed: true, Signed: []string{demoRef.String()}})
	for _, f := range []lookalike.Fault{
		{Kind: lookalike.Stall, Path: files[200].Path, After: 1000, Times: 1},
		{Kind: lookalike.Status, Path: files[600].Path, Code: http.StatusServiceUnavailable, RetryAfter: "1", Times: 1},
		{Kind: lookalike.Corrupt, Path: files[1000].Path, After: 2000, Times: 1},
	} {
		s.trouble = append(s.trouble, s.Inject(f))
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s.url = "http://" + listener.Addr().String()
	s.http = &http.Server{Handler: s.Server, ReadHeaderTimeout: time.Minute}
	s.Attach(s.http)
	go func() { _ = s.http.Serve(listener) }() // ends with close
	return s, nil
}

func (s *demoSite) close() error {
	s.Close()
	return s.http.Close()
}

func (a *app) demo(ctx context.Context) (err error) {
	site, err := newDemoSite()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.close()) }()
	if a.mirror, err = os.MkdirTemp("", "mimicsync-demo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(a.mirror)) }()
	a.physionetURL, a.credentials = site.url, &physionet.Credentials{User: "demo", Password: "demo", From: "the demo"}
	a.idleTimeout = 1500 * time.Millisecond
	a.include, a.exclude, a.state, a.connections = nil, nil, "", 0
	a.limits = limits{bandwidth: pace.NewBandwidth(nil)}
	m, err := a.openMirror(ctx, "demo", true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.close()) }()
	return a.demoSteps(ctx, site, m)
}

func (a *app) demoSteps(ctx context.Context, site *demoSite, m *mirror) error {
	u := a.ui
	u.Printf("A simulated PhysioNet on %s serves %s:\n%s files, %s, one of them %s; at most %s/s per connection.\n",
		site.url, demoRef, humanize.Comma(demoFiles), words.Size(site.size), words.Size(demoBigSize), words.Size(demoRate))
	u.Printf("One file will stall, one will hit a busy server (503), one will arrive damaged.\n\n")

	u.Printf("1. Pull, with a Ctrl-C in the middle:\n")
	if code := a.demoPull(ctx, m, demoInterrupt); code != advice.ExitInterrupted {
		return a.demoFailed(ctx, code)
	}
	first := site.Counters().BytesSent

	u.Printf("\n2. The same command again resumes where it stopped:\n")
	if code := a.demoPull(ctx, m, 0); code != advice.ExitOK {
		return a.demoFailed(ctx, code)
	}
	all := site.Counters()

	u.Printf("\n3. Once more: everything is there, so one request and no download:\n")
	site.Reset()
	if code := a.demoPull(ctx, m, 0); code != advice.ExitOK {
		return a.demoFailed(ctx, code)
	}

	u.Printf("\n4. Read everything again and compare it with SHA256SUMS.txt:\n")
	v, err := (&localVerifier{mirror: m, a: a}).scrub(ctx, demoRef)
	if err != nil {
		return err
	}
	u.Verification(v, false)
	a.code = advice.ForVerification(v)

	struck := 0
	for _, t := range site.trouble {
		struck += t.Struck()
	}
	u.Printf("\nSeen by the server: %s, %s (%s before the Ctrl-C) for %s of data,\n%s, %s; for step 3, %s.\n",
		words.Plural(all.Requests, "request", "requests"), words.Size(all.BytesSent), words.Size(first), words.Size(site.size),
		words.Plural(all.PasswordChecks, "password check", "password checks"), words.Plural(int64(struck), "fault", "faults"),
		words.Plural(site.Counters().Requests, "request", "requests"))
	u.Printf("\nNow the real thing:  mimicsync pull mimic-iv-demo\n")
	return nil
}

// demoFailed ends a demo that failed: because of a real Ctrl-C, or because something is
// broken.
func (a *app) demoFailed(ctx context.Context, code int) error {
	if ctx.Err() != nil {
		a.code = advice.ExitInterrupted
		return nil
	}
	return fmt.Errorf("the demo failed (exit code %d); please report this", code)
}

// demoPull runs one pass, interrupted after this many bytes unless that is zero, and
// returns the exit code that pull would have.
func (a *app) demoPull(ctx context.Context, m *mirror, interruptAt int64) int {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	progress := new(progress.Progress)
	stop := a.ui.Show(a.progressStyle(), demoRef.String(), progress, m.budgets)
	if interruptAt > 0 {
		go func() {
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			for progress.Fetched.Load() < interruptAt {
				select {
				case <-tick.C:
				case <-ctx.Done():
					return
				}
			}
			cancel(failure.ErrInterrupted)
		}()
	}
	report, err := m.syncer.Pull(ctx, demoRef, manifest.Selection{}, progress)
	stop()
	a.ui.Report(report)
	if err != nil {
		return a.ui.ExplainPass(report, err)
	}
	return advice.ForPass(report)
}
