//go:build unix

package main

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"mimicsync/cmd/mimicsync/internal/advice"
	"mimicsync/downloader/lookalike"
)

// fails runs a command that must end with an exit code, and returns what it said.
func (s *bench) fails(code int, args ...string) string {
	s.t.Helper()
	cmd := exec.CommandContext(s.t.Context(), "mimicsync", args...)
	cmd.Env = s.env
	out, err := cmd.CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != code {
		s.t.Errorf("mimicsync %s: %v, want exit code %d:\n%s", strings.Join(args, " "), err, code, out)
	}
	return string(out)
}

// What a person has to do about PhysioNet's own refusals is said by pull, at once,
// with the exit code for it.
func TestPullSaysWhatToDo(t *testing.T) {
	files := lookalike.Generated(demoContent)
	all := lookalike.Version{Version: "1.0", Files: files, Manifest: files.Manifest()}
	for _, test := range []struct {
		name     string
		set      func(*lookalike.Server, *lookalike.Project)
		code     int
		requests int64 // at most
		want     []string
		not      string
	}{
		{
			"an alias of PhysioNet", func(s *lookalike.Server, _ *lookalike.Project) { s.Move("https://physionet.example") },
			advice.ExitUsage, 1,
			[]string{"redirects to https://physionet.example", "MIMICSYNC_PHYSIONET_URL=https://physionet.example"},
			"password",
		},
		{
			"not published yet", func(_ *lookalike.Server, p *lookalike.Project) { p.Versions[0] = lookalike.Version{Version: "1.0"} },
			advice.ExitIncomplete, 2,
			[]string{"demo@1.0 is not published yet", "in a few minutes"},
			"for the source to mend",
		},
		{
			"withdrawn, and open", func(_ *lookalike.Server, p *lookalike.Project) { p.Versions[0].Deprecated = true },
			advice.ExitAccess, 2,
			[]string{"no longer offers", "/content/demo/1.0/"},
			"mimicsync login",
		},
		{
			"downloads switched off", func(_ *lookalike.Server, p *lookalike.Project) { p.Versions[0].DownloadsDisabled = true },
			advice.ExitAccess, 2,
			[]string{"only in a research environment", "/content/demo/1.0/"},
			"mimicsync login",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newBench(t)
			p := lookalike.Project{Slug: "demo", Title: "Demo", Versions: []lookalike.Version{all}}
			test.set(s.server, &p)
			s.server.Publish(p)
			out := s.fails(test.code, "pull", "demo@1.0")
			for _, want := range test.want {
				if !strings.Contains(out, want) {
					t.Errorf("pull does not say %q:\n%s", want, out)
				}
			}
			if n := s.server.Counters().Requests; n > test.requests || strings.Contains(out, test.not) {
				t.Errorf("%d requests, want at most %d, and not %q:\n%s", n, test.requests, test.not, out)
			}
		})
	}
}
