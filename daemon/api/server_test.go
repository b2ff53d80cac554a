package api

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"mimicsync/store"
)

// A daemon that crashed left its socket; the next one takes its place, is private,
// and leaves nothing.
func TestSocketOfACrashIsReplaced(t *testing.T) {
	mirror := t.TempDir()
	own := filepath.Join(mirror, store.Dir)
	if err := os.Mkdir(own, 0o700); err != nil {
		t.Fatal(err)
	}
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(own, socketName)})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	_ = dead.Close()
	if _, err := Dial(t.Context(), mirror); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("Dial of a dead socket = %v, want %v", err, ErrNoDaemon)
	}

	_, stop := start(t, idleDaemon(t), mirror)
	fi, err := os.Lstat(filepath.Join(own, socketName))
	if err != nil || fi.Mode() != fs.ModeSocket|0o600 {
		t.Errorf("the socket: %v, %v, want mode 0600", fi.Mode(), err)
	}
	client, err := Dial(t.Context(), mirror)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Status(t.Context()); err != nil {
		t.Errorf("Status = %v", err)
	}
	client.Close()
	stop()
	if left, _ := os.ReadDir(own); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// In a deep folder the socket's path would be longer than the system takes: it
// lies in a private folder, which the mirror names, also after a crash.
func TestSocketOfADeepMirror(t *testing.T) {
	runtime := t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	mirror := filepath.Join(t.TempDir(), strings.Repeat("deep/", 30))
	own := filepath.Join(mirror, store.Dir)
	if err := os.MkdirAll(own, 0o700); err != nil {
		t.Fatal(err)
	}
	crashed, err := listenSocket(t.Context(), mirror)
	if err != nil {
		t.Fatal(err)
	}
	crashed.Listener.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = crashed.Close()
	foreign := filepath.Dir(crashed.Addr().String())
	must(t, os.Chmod(foreign, 0o755))
	if _, err := Dial(t.Context(), mirror); !errors.Is(err, ErrNoDaemon) || !strings.Contains(err.Error(), "not private") {
		t.Errorf("Dial of a socket in a folder that is open to others = %v, want %v", err, ErrNoDaemon)
	}

	_, stop := start(t, idleDaemon(t), mirror)
	client, err := Dial(t.Context(), mirror)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Status(t.Context()); err != nil {
		t.Errorf("Status = %v", err)
	}
	client.Close()
	if folders, _ := os.ReadDir(runtime); len(folders) != 1 {
		t.Errorf("folders for sockets: %v, want one", folders)
	}
	stop()
	for _, dir := range []string{runtime, own} {
		if left, _ := os.ReadDir(dir); len(left) > 0 {
			t.Errorf("left behind in %s: %v", dir, left)
		}
	}
}

func TestDialWithoutDaemon(t *testing.T) {
	if _, err := Dial(t.Context(), t.TempDir()); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("Dial = %v, want %v", err, ErrNoDaemon)
	}
}

// Whatever is wrong with a request is told in JSON, with its code.
func TestErrorsAreJSON(t *testing.T) {
	if testing.Short() {
		t.Skip("takes its time")
	}
	t.Parallel()
	s, stop := start(t, idleDaemon(t), t.TempDir())
	defer stop()
	for _, c := range []struct {
		request, body string
		code          int
		text          string
	}{
		{"GET /api/v1/nothing", "", 404, "there is no /api/v1/nothing"},
		{"GET /api/v2/status", "", 404, "there is no"},
		{"DELETE /api/v1/status", "", 405, "use GET"},
		{"GET /api/v1/pull", "", 405, "use POST"},
		{"POST /api/v1/pull", "", 400, "body"},
		{"POST /api/v1/pull", "{", 400, "body"},
		{"POST /api/v1/pull", `{"dataset":"demo","edition":"1.0"}`, 400, "edition"},
		{"POST /api/v1/pull", `{"dataset":"demo"} {}`, 400, "more than one JSON object"},
		{"POST /api/v1/pull", `{"dataset":"../demo"}`, 400, "../demo"},
		{"POST /api/v1/pull", `{"dataset":"demo","include":["a{b"]}`, 400, "a{b"},
		{"POST /api/v1/pull", `{"dataset":"` + strings.Repeat("x", maxBody) + `"}`, 400, "too large"},
		{"POST /api/v1/verify", `{"dataset":"demo","version":"one"}`, 400, "one"},
		{"PUT /api/v1/bwlimit", `{"limit":"fast"}`, 400, "fast"},
		{"GET /api/v1/passes/one", "", 400, "one"},
		{"GET /api/v1/passes/77", "", 404, "no such pass"},
		{"GET /api/v1/history?limit=0", "", 400, "limit"},
	} {
		method, path, _ := strings.Cut(c.request, " ")
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.Addresses()[0]+path, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+testToken)
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		var p problem
		err = json.NewDecoder(response.Body).Decode(&p)
		_ = response.Body.Close()
		if err != nil || response.StatusCode != c.code || !strings.Contains(p.Error+p.Hint, c.text) || p.Hint == "" {
			t.Errorf("%s %.60s = %d %+v, %v, want %d, %q and a hint", c.request, c.body, response.StatusCode, p, err, c.code, c.text)
		}
	}
}

func TestPageIsBehindTheGuard(t *testing.T) {
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the page") })
	h := New(idleDaemon(t), Options{Mirror: t.TempDir(), Token: testToken, Page: page}).TCP()
	synctest.Test(t, func(t *testing.T) {
		for address, want := range map[string]int{"127.0.0.1:8765": 200, "192.0.2.7:8765": 401} {
			for _, path := range []string{"/", "/metrics", "/healthz"} {
				r, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+address+path, nil)
				response, err := listen(t, address, h).client().Do(r)
				if err != nil {
					t.Fatal(err)
				}
				body, _ := io.ReadAll(response.Body)
				if response.StatusCode != want || want == 200 && string(body) != "the page" {
					t.Errorf("GET %s on %s = %d %s, want %d", path, address, response.StatusCode, body, want)
				}
			}
		}
	})
}

// One reader of events says nothing for an hour and gets a sign of life every 15
// seconds; another one, who does not read, is cut off.
func TestEventsLiveLongAndDropWhoStalls(t *testing.T) {
	h := New(idleDaemon(t), Options{Mirror: t.TempDir(), Token: testToken}).TCP()
	synctest.Test(t, func(t *testing.T) {
		l := listen(t, "127.0.0.1:8765", h)
		begin := func() (net.Conn, *bufio.Reader) {
			conn := l.dial()
			if _, err := io.WriteString(conn, "GET "+Prefix+"/events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
				t.Fatal(err)
			}
			return conn, bufio.NewReader(conn)
		}
		began := time.Now()
		stalled, rest := begin()
		defer func() { _ = stalled.Close() }()
		live, lines := begin()
		defer func() { _ = live.Close() }()
		events, comments := 0, 0
		for time.Since(began) < time.Hour {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("the stream ended after %v: %v", time.Since(began), err)
			}
			switch line {
			case "event: status\n":
				events++
			case ":\n":
				comments++
			}
		}
		if events != 1 || comments < 239 {
			t.Errorf("%d events and %d comments in an hour, want 1 and 239 or more", events, comments)
		}
		if n, err := io.Copy(io.Discard, rest); err != nil || n > 0 {
			t.Errorf("who stalled got %d bytes, %v, want a connection that was closed", n, err)
		}
	})
}

func TestToken(t *testing.T) {
	mirror := t.TempDir()
	if err := os.Mkdir(filepath.Join(mirror, store.Dir), 0o700); err != nil {
		t.Fatal(err)
	}
	made, err := Token(mirror, "")
	if err != nil || len(made) < minToken {
		t.Fatalf("Token = %q, %v, want one that was made", made, err)
	}
	if again, err := Token(mirror, ""); err != nil || again != made {
		t.Errorf("Token again = %q, %v, want %q", again, err, made)
	}
	if fi, err := os.Stat(TokenFile(mirror)); err != nil || fi.Mode() != 0o600 {
		t.Errorf("the token's file: %v, %v, want mode 0600", fi.Mode(), err)
	}
	file := filepath.Join(mirror, "own")
	for _, c := range []struct {
		text string
		mode fs.FileMode
		want string
	}{
		{testToken + "\n", 0o600, ""},
		{testToken, 0o644, "chmod 600"},
		{"hunter2", 0o600, "at least 16"},
		{"", 0o600, "at least 16"},
		{testToken + "\n" + testToken, 0o600, "one line"},
	} {
		if err := errors.Join(os.WriteFile(file, []byte(c.text), 0o600), os.Chmod(file, c.mode)); err != nil {
			t.Fatal(err)
		}
		token, err := Token(mirror, file)
		if c.want == "" && (err != nil || token != testToken) || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("Token of %q with mode %v = %q, %v, want %q", c.text, c.mode, token, err, c.want)
		}
		if err != nil && c.text != "" && strings.Contains(err.Error(), c.text) {
			t.Errorf("the error quotes the token: %v", err)
		}
	}
	if _, err := Token(mirror, filepath.Join(mirror, "none")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Token of a file that is not there = %v, want %v", err, fs.ErrNotExist)
	}
}
