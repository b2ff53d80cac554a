//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"mimicsync/daemon"
	"mimicsync/daemon/api"
	"mimicsync/downloader/lookalike"
)

// A daemon waits for an agreement that its account has not signed. Who logs in as
// somebody else, or out, or reloads, need not start it again, nor wait.
func TestADaemonHearsOfALogin(t *testing.T) {
	s := newBench(t)
	s.publish(lookalike.Credentialed)
	s.server.AddUser(lookalike.User{Name: "marie", Password: "hunter2", Credentialed: true})
	s.server.AddUser(lookalike.User{Name: "pierre", Password: "radium7", Credentialed: true, Signed: []string{"demo@1.0"}})
	s.configure("datasets: [demo]\nschedule: '@monthly'\n")
	if out := s.login("marie", "hunter2"); strings.Contains(out, "the daemon") {
		t.Errorf("login without a daemon speaks of one:\n%s", out)
	}
	d := s.start()
	d.reachable("daemon started")
	client, err := api.Dial(t.Context(), s.mirror)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	s.becomes(client, daemon.Parked)

	if out := s.login("pierre", "radium7"); !strings.Contains(out, "the daemon of "+s.mirror+" now uses it") {
		t.Errorf("login does not say that the daemon was told:\n%s", out)
	}
	s.becomes(client, daemon.Idle)
	if data, err := filepath.Glob(filepath.Join(s.mirror, "demo", "1.0", "hosp", "*")); err != nil || len(data) == 0 {
		t.Errorf("files = %q, %v, want those of the dataset", data, err)
	}

	// Without an account there is nothing to be had, also not by the session that
	// the former one had.
	if out := s.run("logout"); !strings.Contains(out, "the daemon of") {
		t.Errorf("logout does not say that the daemon was told:\n%s", out)
	}
	if _, err := client.Pull(t.Context(), api.PullRequest{Dataset: "demo"}); err != nil {
		t.Fatal(err)
	}
	s.becomes(client, daemon.Parked)

	// A file that a person writes themselves is found by reload.
	netrc := filepath.Join(s.dir, "home", ".netrc")
	if err := os.MkdirAll(filepath.Dir(netrc), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(netrc, []byte("machine 127.0.0.1 login pierre password radium7\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run("daemon", "reload")
	s.becomes(client, daemon.Idle)
	d.stop()
}

// publish makes demo@1.0 a dataset of another policy.
func (s *bench) publish(policy lookalike.Policy) {
	files := lookalike.Generated(demoContent)
	s.server.Publish(lookalike.Project{Slug: "demo", Title: "Demo", Policy: policy, Versions: []lookalike.Version{
		{Version: "1.0", Files: files, Manifest: files.Manifest(), Bytes: files.Bytes()},
	}})
}

func (s *bench) login(user, password string) string {
	s.t.Helper()
	return s.runWith(password+"\n", "login", "--username", user, "--password-stdin")
}

func (s *bench) run(args ...string) string {
	s.t.Helper()
	return s.runWith("", args...)
}

// runWith runs a command that must succeed, and returns what it said.
func (s *bench) runWith(input string, args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "mimicsync", args...)
	cmd.Env, cmd.Stdin = s.env, strings.NewReader(input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("mimicsync %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// becomes waits for a condition of the one dataset, for a few seconds.
func (s *bench) becomes(client *api.Client, want daemon.Condition) {
	s.t.Helper()
	var is []daemon.DatasetStatus
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		status, err := client.Status(s.t.Context())
		if err != nil {
			s.t.Fatal(err)
		}
		if is = status.Datasets; len(is) == 1 && is[0].Condition == want {
			return
		}
	}
	s.t.Fatalf("the dataset does not become %v: %+v", want, is)
}
