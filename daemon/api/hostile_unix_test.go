//go:build unix

package api

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mimicsync/daemon"
	"mimicsync/internal/hostiletest"
	"mimicsync/store"
)

// Somebody of the lab has put something of his where the daemon has its socket, its
// address and its token. Whoever asks for the daemon or for the token is told what stands
// there; a daemon that starts takes away what it can, but for a folder; and nothing is done
// to what a link leads to.
func TestWhatIsPlantedForTheDaemon(t *testing.T) {
	ask := func(ctx context.Context, mirror string) error {
		client, err := Dial(ctx, mirror)
		if err == nil {
			client.Close()
		}
		return err
	}
	token := func(_ context.Context, mirror string) error {
		_, err := Token(mirror, "")
		return err
	}
	listen := func(ctx context.Context, mirror string) error {
		s, err := listenSocket(ctx, mirror)
		if err == nil {
			err = s.remove()
		}
		return err
	}
	for _, c := range []struct {
		place, what string
		do          func(context.Context, string) error
		heals       bool
	}{
		{".", "ask", ask, false},
		{".", "token", token, false},
		{".", "listen", listen, false},
		{socketName, "ask", ask, false},
		{socketName, "listen", listen, true},
		{addressName, "ask", ask, false},
		{addressName, "listen", listen, true},
		{tokenName, "token", token, false},
	} {
		for _, kind := range hostiletest.Kinds() {
			t.Run(c.what+" where "+c.place+" is "+kind, func(t *testing.T) {
				if c.place == socketName && kind == "a socket" {
					t.Skip("see TestWhoeverSaysNothing, and TestAStrangerWhoAnswersIsNotBelieved")
				}
				outside, mirror := hostiletest.NewOutside(t), t.TempDir()
				must(t, os.Mkdir(filepath.Join(mirror, store.Dir), 0o700))
				path := filepath.Join(mirror, store.Dir, c.place)
				outside.Plant(t, kind, path)
				began := time.Now()
				err := c.do(t.Context(), mirror)
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
				outside.Untouched(t)
				if c.heals && kind != "a stranger's folder" {
					if left, _ := os.ReadDir(filepath.Dir(path)); err != nil || len(left) > 0 {
						t.Errorf("%v, and %v is left, want none", err, left)
					}
					return
				}
				failed, ok := errors.AsType[*fs.PathError](err)
				if _, foreign := errors.AsType[*store.ForeignError](err); !ok || !foreign || failed.Path != path {
					t.Errorf("error %v, want one that says what %s is", err, path)
				}
			})
		}
	}
}

// answering listens at the socket of a mirror in place of its daemon.
func answering(t *testing.T, mirror string, h http.HandlerFunc) *Client {
	t.Helper()
	own := filepath.Join(mirror, store.Dir)
	must(t, os.Mkdir(own, 0o700))
	l, err := new(net.ListenConfig).Listen(t.Context(), "unix", filepath.Join(own, socketName))
	must(t, err)
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	client, err := Dial(t.Context(), mirror)
	must(t, err)
	t.Cleanup(client.Close)
	return client
}

// The daemon of a mirror's owner says what some server told it, or what its owner likes: a
// terminal obeys none of it, and it ends.
func TestADaemonsWordsAreTamed(t *testing.T) {
	const title = "\x1b[2J\x1b]0;pwned\a"
	client := answering(t, t.TempDir(), func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == Prefix+"/status" {
			_, _ = w.Write([]byte(`{"mirror":"\u001b[31m/data","datasets":[{"dataset":"demo","why":"two\nlines\u009b5n","cure":"` + strings.Repeat("ä", maxText) + `"}]}`))
			return
		}
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"error":"no` + strings.ReplaceAll(strings.ReplaceAll(title, "\x1b", `\u001b`), "\a", `\u0007`) + `","hint":"see \u202ehere"}`))
	})
	status, err := client.Status(t.Context())
	must(t, err)
	if want := "\uFFFD[31m/data"; status.Mirror != want {
		t.Errorf("the mirror is %q, want %q", status.Mirror, want)
	}
	d := append(status.Datasets, daemon.DatasetStatus{})[0]
	if want := "two\nlines\uFFFD5n"; d.Why != want {
		t.Errorf("why is %q, want %q", d.Why, want)
	}
	if n := len(d.Cure); n > maxText+len("…") || n < maxText-1 {
		t.Errorf("a text of %d bytes, want it cut at %d", n, maxText)
	}
	err = client.Pause(t.Context(), "demo")
	refused, ok := errors.AsType[*Error](err)
	if !ok || refused.Text != "no\uFFFD[2J\uFFFD]0;pwned\uFFFD" || refused.Hint != "see \uFFFDhere" {
		t.Errorf("Pause = %q, want its words without what a terminal obeys", err)
	}
}

// Something listens at the socket and says nothing: it is not waited for, and it is said.
func TestWhoeverSaysNothing(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	t.Parallel()
	outside, mirror := hostiletest.NewOutside(t), t.TempDir()
	must(t, os.Mkdir(filepath.Join(mirror, store.Dir), 0o700))
	outside.Plant(t, "a socket", filepath.Join(mirror, store.Dir, socketName))
	began := time.Now()
	if _, err := Dial(t.Context(), mirror); !errors.Is(err, ErrSilent) || !strings.Contains(err.Error(), socketName) {
		t.Errorf("Dial = %v, want %v", err, ErrSilent)
	}
	if took := time.Since(began); took < silentAfter || took > 10*time.Second {
		t.Errorf("it took %v, want a little more than %v", took, silentAfter)
	}
}

// An answer that does not end costs no more memory than the longest that a daemon gives.
func TestAnAnswerWithoutEnd(t *testing.T) {
	client := answering(t, t.TempDir(), func(w http.ResponseWriter, _ *http.Request) {
		_, err := w.Write([]byte(`{"mirror":"`))
		for line := []byte(strings.Repeat("x", 64<<10)); err == nil; {
			_, err = w.Write(line)
		}
	})
	if _, err := client.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "too long") {
		t.Errorf("Status = %v, want that it is too long", err)
	}
}
