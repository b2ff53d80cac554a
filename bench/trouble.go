//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"mimicsync/daemon"
	"mimicsync/daemon/api"
	"mimicsync/downloader/lookalike"
	"mimicsync/manifest"
)

// The goals of `bench trouble`.
const (
	troubleRequests = 20 // that may be made while a trouble lasts
	troubleOver     = 2 * time.Minute
)

// troubleConfig is that of a daemon which would look again in a week.
const troubleConfig = `mirror: %s
listen: ["127.0.0.1:0"]
physionet: {url: %q}
schedule: "@weekly"
log: {format: json}
datasets: [%s]
`

// troubleResult is what `bench trouble` finds.
type troubleResult struct {
	Machine machine         `json:"machine"`
	Files   int             `json:"files"`    // that each kind has come over
	Lasted  float64         `json:"lasted_s"` // each trouble
	Kinds   []*troubleRound `json:"kinds"`
}

// troubleRound is one kind of trouble.
type troubleRound struct {
	Kind     string  `json:"kind"`
	Requests int     `json:"requests"` // while it lasted
	Left     int     `json:"left"`     // files that lacked at its end
	Seconds  float64 `json:"seconds"`  // from its end until all files were there
	Passes   int     `json:"passes"`   // that it took
}

// measureTrouble lets one daemon live through one kind of trouble after the other, each in the midst of a pass: all files of
// the dataset have become others. Nobody helps it.
func measureTrouble(flags *flag.FlagSet) func(context.Context, *stage) (result, error) {
	r := &troubleResult{}
	flags.IntVar(&r.Files, "n", 300, "files")
	lasts := flags.Duration("lasts", 10*time.Second, "each trouble")
	after := flags.Int("after", 60, "files that come in a pass before the trouble begins")
	kinds := flags.String("kinds", strings.Join(troubleNames(), ","), "which kinds, in which order")
	return func(ctx context.Context, s *stage) (_ result, err error) {
		r.Machine, r.Lasted = thisMachine(s), lasts.Seconds()
		if err := s.needsCommand(); err != nil {
			return nil, err
		}
		l, err := s.openTroubles(ctx, r.Files)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, l.close()) }()
		if _, err := l.await(ctx, time.Now()); err != nil {
			return nil, fmt.Errorf("the first pass: %w", err)
		}
		for kind := range strings.SplitSeq(*kinds, ",") {
			fmt.Fprintf(os.Stderr, "bench: trouble: %s\n", kind)
			round, err := l.live(ctx, kind, *after, *lasts)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", kind, err)
			}
			r.Kinds = append(r.Kinds, round)
		}
		return r, nil
	}
}

func (r *troubleResult) print() {
	r.Machine.print()
	fmt.Printf("One daemon, %d files that change before each trouble of %.0f s\n\n", r.Files, r.Lasted)
	t := newTable("trouble", "requests meanwhile", fmt.Sprintf("at most %d", troubleRequests), "files left at its end", "all here after", fmt.Sprintf("within %v", troubleOver), "passes")
	for _, k := range r.Kinds {
		t.row(k.Kind, fmt.Sprint(k.Requests), reached(k.Requests <= troubleRequests), fmt.Sprint(k.Left),
			fmt.Sprintf("%.1f s", k.Seconds), reached(k.Seconds <= troubleOver.Seconds()), fmt.Sprint(k.Passes))
	}
	t.print()
}

// troubles is a daemon, and the server that gives it trouble.
type troubles struct {
	daemon  *soakDaemon
	client  *api.Client
	site    *lookalike.Server
	sick    *sickSite
	files   []lookalike.GeneratedFile
	tree    string
	entries []manifest.Entry // of the version as it is published
	shut    func() error
}

// openTroubles starts server and daemon. What is returned must be closed.
func (s *stage) openTroubles(ctx context.Context, n int) (_ *troubles, err error) {
	site := lookalike.New()
	site.APIPerHour = 1 << 30                              // how often it is asked is counted elsewhere
	site.Workers, site.WorkTime = 100, 50*time.Millisecond // so that a pass has a middle
	site.AddUser(lookalike.User{Name: account, Password: password, Signed: []string{demo.String()}})
	l := &troubles{site: site, sick: &sickSite{well: site}, files: tiny(n)}
	url, shut, err := s.serveSite(l.sick, &site.Host)
	if err != nil {
		return nil, err
	}
	l.shut = shut
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	if err := l.publish(ctx); err != nil {
		return nil, err
	}
	mirror, config := filepath.Join(s.dir, "mirror"), filepath.Join(s.dir, "config.yaml")
	text := fmt.Sprintf(troubleConfig, mirror, url, demo.Dataset)
	if err := errors.Join(os.WriteFile(config, []byte(text), 0o600), os.Mkdir(mirror, 0o700)); err != nil {
		return nil, err
	}
	l.tree = filepath.Join(mirror, demo.Dataset, demo.Version)
	if l.daemon, err = s.startDaemon(ctx, config, 1); err != nil {
		return nil, err
	}
	l.client, err = api.Dial(ctx, mirror)
	return l, err
}

func (l *troubles) close() (err error) {
	if l.client != nil {
		l.client.Close()
	}
	if l.daemon != nil {
		_, err = l.daemon.stop()
	}
	l.site.Close()
	return errors.Join(err, l.shut())
}

// publish makes all files others, under the names that they had.
func (l *troubles) publish(ctx context.Context) error {
	for i := range l.files {
		l.files[i].Seed++
	}
	files := lookalike.Generated(l.files)
	sums := files.Manifest()
	l.site.Publish(lookalike.Project{Slug: demo.Dataset, Title: "Trouble", Policy: lookalike.Restricted, Versions: []lookalike.Version{{
		Version: demo.Version, Files: files, Manifest: sums, Bytes: files.Bytes() + int64(len(sums)), ModTime: time.Now(),
	}}})
	l.entries = nil
	entries, read := make(chan manifest.Entry), make(chan error, 1)
	go func() { read <- readEntries(ctx, bytes.NewReader(sums), entries); close(entries) }()
	for e := range entries {
		l.entries = append(l.entries, e)
	}
	return <-read
}

// live brings the daemon into trouble, and waits until it is out of it.
func (l *troubles) live(ctx context.Context, kind string, after int, lasts time.Duration) (*troubleRound, error) {
	answer := troubleKinds[kind]
	if answer == nil {
		return nil, fmt.Errorf("no such trouble; there are %s", strings.Join(troubleNames(), ", "))
	}
	if err := l.publish(ctx); err != nil {
		return nil, err
	}
	began, asked, over := l.sick.fallIll(answer, after, lasts), time.Now(), time.Time{}
	if _, err := l.client.Pull(ctx, api.PullRequest{Dataset: demo.Dataset}); err != nil {
		return nil, err
	}
	select {
	case start := <-began:
		over = start.Add(lasts)
	case <-l.daemon.ended:
		return nil, l.daemon.died()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-time.After(time.Minute):
		return nil, errors.New("the trouble has not begun: the files are not asked for")
	}
	time.Sleep(time.Until(over))
	round := &troubleRound{Kind: kind, Requests: l.sick.count()}
	round.Left = len(slices.DeleteFunc(slices.Clone(l.entries), l.isHere))
	took, err := l.await(ctx, over)
	if err != nil {
		return nil, err
	}
	round.Seconds = took.Seconds()
	past, err := l.client.History(ctx, demo.Dataset, 100)
	for _, p := range past {
		if !p.Start.Before(asked) {
			round.Passes++
		}
	}
	return round, err
}

func (l *troubles) isHere(e manifest.Entry) bool {
	_, right := isRight(filepath.Join(l.tree, filepath.FromSlash(e.Path)), e.Digest, sha256.New(), make([]byte, 4<<10))
	return right
}

// await returns how long after a moment all files were there. It returns when the daemon rests, too.
func (l *troubles) await(ctx context.Context, from time.Time) (took time.Duration, err error) {
	left := slices.Clone(l.entries)
	for deadline := from.Add(2 * troubleOver); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if left = slices.DeleteFunc(left, l.isHere); len(left) > 0 {
			continue
		}
		if took == 0 {
			took = time.Since(from)
		}
		status, err := l.client.Status(ctx)
		if err != nil {
			return took, err
		}
		if d := status.Datasets[0]; d.Condition == daemon.Idle && d.Complete {
			return took, nil
		}
	}
	return took, fmt.Errorf("%v later %d of %d files lack, or the daemon is not at rest", 2*troubleOver, len(left), len(l.entries))
}

// answers makes a trouble of a status and a body.
func answers(code int, kind, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}
}
