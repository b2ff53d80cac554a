package api

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"mimicsync/downloader/lookalike"
	"mimicsync/downloader/progress"
	"mimicsync/store"
)

// follow waits for the end of a pass.
func follow(t *testing.T, c *Client, id int64) Pass {
	t.Helper()
	var last Pass
	for p, err := range c.Follow(t.Context(), id) {
		must(t, err)
		last = p
	}
	return last
}

// A person pulls by way of the daemon, another one asks for the same, a page looks
// on by events, and a reader of events that does not read keeps nobody up.
func TestPull(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	s, client := l.run(t)
	stalled, err := net.Dial("tcp", s.Addresses()[0])
	must(t, err)
	defer func() { _ = stalled.Close() }()
	_, err = io.WriteString(stalled, "GET "+Prefix+"/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
	must(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addresses()[0]+Prefix+"/events", nil)
	must(t, err)
	events, err := http.DefaultClient.Do(r)
	must(t, err)
	defer func() { _ = events.Body.Close() }()

	l.Inject(lookalike.Fault{Kind: lookalike.Slow, Path: "files", Rate: 20_000, Times: 2})
	id, err := client.Pull(t.Context(), PullRequest{Dataset: "demo", Version: "1.0"})
	must(t, err)
	if again, err := client.Pull(t.Context(), PullRequest{Dataset: "demo", Version: "1.0"}); err != nil || again != id {
		t.Errorf("Pull again = %d, %v, want %d", again, err, id)
	}
	p := follow(t, client, id)
	if p.State != store.Complete || p.Phase != progress.PhaseEnd || p.ExitCode != 0 || p.Report == nil || p.Report.Files.Fetched != demoFiles {
		t.Errorf("the pass ended as %+v", p)
	}
	stream := bufio.NewReader(events.Body)
	if event, _ := readEvent(t, stream); event != "status" {
		t.Errorf("the first event is %s, want a status", event)
	}
	ended := readPass(t, stream)
	if ended.ID != id || ended.Report == nil || ended.Report.Files != p.Report.Files {
		t.Errorf("event pass: %+v, want %+v", ended, p.PassStatus)
	}
	status, err := client.Status(t.Context())
	must(t, err)
	if d := status.Datasets; len(d) != 1 || d[0].Dataset != "demo" || d[0].Files != demoFiles || d[0].Pass != nil {
		t.Errorf("status: %+v", status)
	}
	history, err := client.History(t.Context(), "demo", 10)
	must(t, err)
	if len(history) != 1 || history[0].ID != id {
		t.Errorf("history: %+v", history)
	}
}

// A pass that fails says why, and with which exit code the command ends.
func TestPullOfWhatIsNotThere(t *testing.T) {
	t.Parallel()
	_, client := newLab(t).run(t)
	id, err := client.Pull(t.Context(), PullRequest{Dataset: "nothing"})
	must(t, err)
	if p := follow(t, client, id); p.State != store.Failed || p.ExitCode != 4 || !strings.Contains(p.Error, "nothing") {
		t.Errorf("the pass ended as %+v", p)
	}
}

// A pass is canceled; everything is paused, and goes on.
func TestCancelPauseResume(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	_, client := l.run(t)
	l.Inject(lookalike.Fault{Kind: lookalike.Stall, Path: "files", After: 100, Times: 2})
	id, err := client.Pull(t.Context(), PullRequest{Dataset: "demo"})
	must(t, err)
	must(t, client.Cancel(t.Context(), id))
	if p := follow(t, client, id); p.State != store.Interrupted || !strings.Contains(p.Error, "canceled") {
		t.Errorf("the canceled pass ended as %+v", p)
	}
	refused := new(Error)
	if err := client.Cancel(t.Context(), id); !errors.As(err, &refused) || refused.Code != http.StatusConflict || refused.Hint == "" {
		t.Errorf("Cancel again = %#v, want code 409 and a hint", err)
	}
	for _, dataset := range []string{"", "demo"} {
		must(t, client.Pause(t.Context(), dataset))
		status, err := client.Status(t.Context())
		must(t, err)
		if status.Paused != (dataset == "") {
			t.Errorf("after Pause(%q): %+v", dataset, status)
		}
		must(t, client.Resume(t.Context(), dataset))
	}
	if err := client.Pause(t.Context(), "other"); !errors.As(err, &refused) || refused.Code != http.StatusNotFound {
		t.Errorf("Pause of what is unknown = %#v, want code 404", err)
	}
}

func TestVerifyByTheDaemon(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	_, client := l.run(t)
	id, err := client.Pull(t.Context(), PullRequest{Dataset: "demo"})
	must(t, err)
	follow(t, client, id)
	rotten := ""
	must(t, filepath.WalkDir(filepath.Join(l.dir, "demo", "1.0", "files"), func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			rotten = path
		}
		return err
	}))
	must(t, os.WriteFile(rotten, []byte("rot"), 0o600))
	id, err = client.Verify(t.Context(), VerifyRequest{Dataset: "demo", Version: "1.0", Repair: true})
	must(t, err)
	p := follow(t, client, id)
	if p.Verification == nil || p.Verification.Wrong != 1 || p.Report == nil || p.Report.Files.Fetched != 1 || p.State != store.Complete {
		t.Errorf("the verification ended as %+v", p)
	}
}

func TestBWLimitAndReload(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	_, client := l.run(t)
	must(t, client.BWLimit(t.Context(), "2M"))
	status, err := client.Status(t.Context())
	must(t, err)
	if status.BWLimit != "2M" || status.BytesLimit != 2_000_000 && status.BytesLimit != 2<<20 {
		t.Errorf("limit %q, %d", status.BWLimit, status.BytesLimit)
	}
	notes, err := client.Reload(t.Context())
	if err != nil || len(notes) != 1 || !strings.Contains(notes[0], "restart") {
		t.Errorf("Reload = %q, %v", notes, err)
	}
	l.loadErr = errors.New("config.yaml:3: no such key")
	refused := new(Error)
	if _, err := client.Reload(t.Context()); !errors.As(err, &refused) || refused.Code != http.StatusConflict || !strings.Contains(refused.Text, "no such key") {
		t.Errorf("Reload of a bad file = %v, want code 409", err)
	}
}

// Two daemons cannot own one mirror: the second one comes as far as the lock, and
// the socket stays that of the first.
func TestTwoDaemonsOnOneMirror(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	t.Parallel()
	l := newLab(t)
	_, client := l.run(t)
	place, err := store.Locate(l.dir, "")
	must(t, err)
	if _, err := store.Open(place, "daemon"); !errors.Is(err, store.ErrLocked) {
		t.Errorf("the second daemon: %v, want %v", err, store.ErrLocked)
	}
	if _, err := client.Status(t.Context()); err != nil {
		t.Errorf("the first daemon: %v", err)
	}
}
