//go:build linux

package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"mimicsync/downloader/lookalike"
	"mimicsync/manifest"
)

// demo is the dataset version of the generated server.
var demo = manifest.Ref{Dataset: "demo", Version: version}

// nextVersion is the version of demo after it, where the server is told to have one: one file of nextChanged is another.
const (
	nextVersion = "99.0"
	nextChanged = 100
)

// announcement is the first line that a generated server prints.
type announcement struct {
	URL      string `json:"url"`
	Manifest string `json:"manifest"` // a file, for who checks a tree
	Next     string `json:"next"`     // the same of nextVersion
	Files    int64  `json:"files"`
	Bytes    int64  `json:"bytes"`
}

// generatedServer is a look-alike, of PhysioNet or of a store, with files that exist only as descriptions, in a process of its
// own: hundreds of thousands of them need no disk. Or it is a store's emulator.
type generatedServer struct {
	about   announcement
	process *exec.Cmd
	ask     io.WriteCloser
	answers *bufio.Reader
	mu      sync.Mutex // held while the server is asked
}

// startGenerated starts the server that the flags of serve describe.
func startGenerated(ctx context.Context, s *stage, flags ...string) (g *generatedServer, err error) {
	g = &generatedServer{process: s.command(ctx, s.self, append([]string{"serve", "-dir", s.dir}, flags...)...)}
	if g.ask, err = g.process.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := g.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	g.answers = bufio.NewReader(out)
	if err := g.process.Start(); err != nil {
		return nil, err
	}
	return g, g.read(&g.about)
}

func (g *generatedServer) read(v any) error {
	line, err := g.answers.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("the server has died: %w", err)
	}
	return json.Unmarshal(line, v)
}

func (g *generatedServer) site() site {
	return site{url: g.about.URL, start: (*exec.Cmd).Start, tally: g.tally}
}

// tally asks the server what it has served so far.
func (g *generatedServer) tally() (t tally, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, err := g.ask.Write([]byte("\n")); err != nil {
		return t, err
	}
	err = g.read(&t)
	return t, err
}

func (g *generatedServer) close() {
	_ = g.ask.Close()
	_ = g.process.Wait() // its work is done, whatever it says
}

// generated is a look-alike or an emulator, and what it serves.
type generated struct {
	http.Handler

	host  counter
	sums  []byte
	next  []byte // the manifest of nextVersion
	files int64
	bytes int64 // without the manifest
}

// counter knows what a server has served, once it is attached to it.
type counter interface {
	Attach(*http.Server)
	Counters() lookalike.Counters
}

// generatedSite is PhysioNet with n tiny files, for the demo's name, and perhaps their next version.
func generatedSite(n int, next bool) generated { return generatedProject(demo, tiny(n), next) }

// generatedProject is PhysioNet with one open project, and perhaps its next version.
func generatedProject(ref manifest.Ref, list []lookalike.GeneratedFile, next bool) generated {
	files := lookalike.Generated(list)
	g := generated{sums: files.Manifest(), files: int64(files.Len()), bytes: files.Bytes()}
	p := lookalike.Project{Slug: ref.Dataset, Title: "Benchmark", Versions: []lookalike.Version{{
		Version: ref.Version, Files: files, Manifest: g.sums, Bytes: g.bytes + int64(len(g.sums)),
	}}}
	if next {
		for i := 0; i < len(list); i += nextChanged {
			list[i].Seed++
		}
		files = lookalike.Generated(list)
		g.next = files.Manifest()
		p.Versions = append(p.Versions, lookalike.Version{Version: nextVersion, Files: files, Manifest: g.next, Bytes: g.bytes + int64(len(g.next))})
	}
	site := lookalike.New(p)
	g.Handler, g.host = site, &site.Host
	return g
}

// serve answers as PhysioNet or a store does until its standard input ends.
func serve(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	n := flags.Int("n", 600_000, "files of PhysioNet")
	next := flags.Bool("next", false, "have their next version too, of which one file in 100 is another")
	store := flags.String("store", "", "be this source, with a corpus: physionet, gcs or s3")
	corpus := flags.String("corpus", "small", "what the store has")
	scale := flags.Float64("scale", 1, "of it")
	emulators := flags.String("emulators", "", "be the emulator that others wrote of the store, with its corpus in this folder")
	served := flags.Int("served", 0, "connections that are served, 0 for all; others are left hanging")
	linger := flags.Duration("linger", 0, "for how long a closed connection still counts as one of them")
	workers := flags.Int("workers", 0, "requests that are worked on at once, 0 for all; others wait")
	work := flags.Duration("work", 0, "what the work for a request takes")
	dir := flags.String("dir", ".", "where the certificate is and the manifest goes")
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, url, err := listen()
	if err != nil {
		return err
	}
	var g generated
	if *store == "" {
		g = generatedSite(*n, *next)
	} else {
		c, err := corpora(*corpus, *scale)
		if err != nil {
			return err
		}
		if *emulators == "" {
			g = generatedStore(*store, c)
		} else if g, err = emulatedStore(ctx, *store, c, *emulators, url); err != nil {
			return err
		}
	}
	if h, ok := g.host.(*lookalike.Host); ok {
		h.ServedConns, h.ConnLinger, h.Workers, h.WorkTime = *served, *linger, *workers, *work
	}
	about := announcement{URL: url, Manifest: filepath.Join(*dir, manifest.Name), Files: g.files, Bytes: g.bytes}
	if err := os.WriteFile(about.Manifest, g.sums, 0o600); err != nil {
		return err
	}
	if *next {
		about.Next = filepath.Join(*dir, "next.txt")
		if err := os.WriteFile(about.Next, g.next, 0o600); err != nil {
			return err
		}
	}
	closeServer := serveTLS(listener, *dir, g, g.host)
	if err := json.NewEncoder(os.Stdout).Encode(about); err != nil {
		return err
	}
	if err := answer(g.host); err != nil {
		return err
	}
	return closeServer()
}

// listen opens a port on loopback.
func listen() (listener net.Listener, url string, err error) {
	listener, err = net.Listen("tcp", "127.0.0.1:0") // listening waits for nobody
	if err != nil {
		return nil, "", err
	}
	return listener, "https://" + listener.Addr().String(), nil
}

// serveSite answers on a port of its own at url, until shut is called.
func (s *stage) serveSite(h http.Handler, host counter) (url string, shut func() error, err error) {
	listener, url, err := listen()
	if err != nil {
		return "", nil, err
	}
	return url, serveTLS(listener, s.dir, h, host), nil
}

// serveTLS answers on a port, with the certificate that lies in dir.
func serveTLS(listener net.Listener, dir string, h http.Handler, host counter) (closeServer func() error) {
	hs := &http.Server{
		Handler: h, ReadHeaderTimeout: time.Minute,
		ErrorLog:  slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
		TLSConfig: &tls.Config{NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12},
	}
	host.Attach(hs)
	served := make(chan error, 1)
	go func() {
		served <- hs.ServeTLS(listener, filepath.Join(dir, "certificate.pem"), filepath.Join(dir, "key.pem"))
	}()
	return func() error {
		_ = hs.Close() // who still asks gets no answer
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	}
}

// answer prints a tally for each line on standard input.
func answer(host counter) error {
	lines, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var used syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
			return err
		}
		c := host.Counters()
		if err := out.Encode(tally{
			Requests: c.Requests, Files: c.Files, Bytes: c.BytesSent, Connections: c.Conns,
			CPU: (time.Duration(used.Utime.Nano()) + time.Duration(used.Stime.Nano())).Seconds(),
		}); err != nil {
			return err
		}
	}
	return lines.Err()
}
