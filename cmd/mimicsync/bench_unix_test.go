//go:build unix

package main

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/daemon/api"
	"mimicsync/downloader/lookalike"
	"mimicsync/manifest"
)

// daemonProcess is a real `mimicsync daemon`.
type daemonProcess struct {
	t       *testing.T
	cmd     *exec.Cmd
	ended   chan struct{} // closed when it has
	mu      sync.Mutex
	log     bytes.Buffer // its stderr
	address string
}

// bench is a look-alike and what processes need to find it.
type bench struct {
	t      *testing.T
	server *lookalike.Server
	dir    string
	mirror string
	env    []string
}

func newBench(t *testing.T) *bench {
	t.Helper()
	files := lookalike.Generated(demoContent)
	s := lookalike.New(lookalike.Project{Slug: "demo", Title: "Demo", Policy: lookalike.Open, Versions: []lookalike.Version{
		{Version: "1.0", Files: files, Manifest: files.Manifest(), Bytes: files.Bytes()},
	}})
	h := httptest.NewUnstartedServer(s)
	h.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	s.Attach(h.Config)
	h.StartTLS()
	t.Cleanup(func() {
		s.Close()
		h.Close()
	})
	dir := t.TempDir()
	cert := filepath.Join(dir, "ca.pem")
	if err := os.WriteFile(cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	mirror := filepath.Join(dir, "mirror")
	return &bench{t: t, server: s, dir: dir, mirror: mirror, env: append(os.Environ(),
		"HOME="+filepath.Join(dir, "home"), "XDG_CONFIG_HOME="+filepath.Join(dir, "config"), "XDG_STATE_HOME="+filepath.Join(dir, "state"),
		"DBUS_SESSION_BUS_ADDRESS=unix:path=/nonexistent", "MIMICSYNC_PHYSIONET_URL="+h.URL, "SSL_CERT_FILE="+cert, "MIMICSYNC_MIRROR="+mirror)}
}

// configure writes the configuration file.
func (s *bench) configure(text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, "config", "mimicsync", "config.yaml")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		s.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// start runs a daemon and keeps its log.
func (s *bench) start(args ...string) *daemonProcess {
	s.t.Helper()
	return s.startWith(nil, args...)
}

// startWith runs a daemon that writes to output, if that is not nil.
func (s *bench) startWith(output *os.File, args ...string) *daemonProcess {
	s.t.Helper()
	p := &daemonProcess{t: s.t, ended: make(chan struct{}), cmd: exec.Command("mimicsync", append([]string{"daemon", "--listen", "127.0.0.1:0"}, args...)...)}
	p.cmd.Env = s.env
	p.cmd.Stderr = p
	if output != nil {
		p.cmd.Stdout, p.cmd.Stderr = output, output
	}
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		_ = p.cmd.Wait() // its exit code is looked at where it matters
		close(p.ended)
	}()
	s.t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		<-p.ended
	})
	return p
}

// pullBy has a daemon fetch the dataset, and waits until all of it is here.
func (s *bench) pullBy(client *api.Client) {
	s.t.Helper()
	id, err := client.Pull(s.t.Context(), api.PullRequest{Dataset: "demo"})
	if err != nil {
		s.t.Fatal(err)
	}
	for pass, err := range client.Follow(s.t.Context(), id) {
		if err != nil || pass.Error != "" {
			s.t.Fatalf("the pass: %v %s", err, pass.Error)
		}
	}
	if _, err := os.Stat(filepath.Join(s.mirror, "demo", "1.0", manifest.Name)); err != nil {
		s.t.Error(err)
	}
}

// reach waits until a daemon can be asked.
func (s *bench) reach(p *daemonProcess) *api.Client {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		client, err := api.Dial(s.t.Context(), s.mirror)
		if err == nil {
			s.t.Cleanup(client.Close)
			return client
		}
		select {
		case <-p.ended:
			s.t.Fatal("the daemon ended")
		default:
		}
	}
	s.t.Fatal("the daemon can.t be checked")
	return nil
}

func (p *daemonProcess) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(b)
}

// logged waits for a line of the log with this message, and returns it.
func (p *daemonProcess) logged(msg string) map[string]any {
	p.t.Helper()
	return p.loggedWith(msg, "")
}

// loggedWith does so for one that has a text in its other fields.
func (p *daemonProcess) loggedWith(msg, text string) map[string]any {
	p.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		log := p.log.String()
		p.mu.Unlock()
		for line := range strings.Lines(log) {
			var record map[string]any
			if json.Unmarshal([]byte(line), &record) == nil && record["msg"] == msg && strings.Contains(line, text) {
				return record
			}
		}
		select {
		case <-p.ended:
			p.t.Fatalf("the daemon ended; its log:\n%s", log)
		default:
		}
	}
	p.t.Fatalf("no %q with %q in the log:\n%s", msg, text, p.log.String())
	return nil
}

// reachable takes the address from the log.
func (p *daemonProcess) reachable(msg string) {
	p.t.Helper()
	addresses, _ := p.logged(msg)["addresses"].([]any)
	if len(addresses) != 1 {
		p.t.Fatalf("the log names %v, want one address", addresses)
	}
	p.address, _ = addresses[0].(string)
}

// wantGet asks for a page.
func (p *daemonProcess) wantGet(path string, code int, text string) {
	p.t.Helper()
	p.wantGetAs(p.address, path, code, text)
}

// wantGetAs asks for a page by some name of the daemon.
func (p *daemonProcess) wantGetAs(host, path string, code int, text string) {
	p.t.Helper()
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+p.address+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Host = host
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != code || !strings.Contains(string(body), text) {
		p.t.Errorf("GET %s = %d %q (%v), want %d with %q", path, resp.StatusCode, body, err, code, text)
	}
}

// stop ends it as a service manager does, and wants it to end well.
func (p *daemonProcess) stop() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		p.t.Fatal("the daemon still runs 10 s after SIGTERM")
	}
	if code := p.cmd.ProcessState.ExitCode(); code != advice.ExitOK {
		p.t.Errorf("exit code %d, want 0; its log:\n%s", code, p.log.String())
	}
}

func (p *daemonProcess) hangup() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		p.t.Fatal(err)
	}
}
