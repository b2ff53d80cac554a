package configs_test

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"mimicsync/configs"
)

// ours is a service whose paths have what units give a meaning.
var ours = configs.Service{
	Binary: "/usr/bin/true", Mirror: `/data/100 % "MIMIC" & $HOME\`, Config: "/etc/mimicsync/lab <1>.yaml", User: "marie", Log: "/var/log/a&b.log",
}

func unit(t *testing.T, s configs.Service, m configs.Manager) string {
	t.Helper()
	text, err := s.Unit(m)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestUnitsNameWhatTheyStart(t *testing.T) {
	for _, m := range []configs.Manager{configs.Systemd, configs.SystemdUser} {
		text := unit(t, ours, m)
		for _, want := range []string{
			`ExecStart="/usr/bin/true" daemon`,
			`Environment="MIMICSYNC_MIRROR=/data/100 %% \"MIMIC\" & $HOME\\"`,
			`Environment="MIMICSYNC_CONFIG=/etc/mimicsync/lab <1>.yaml"`,
			"Type=notify\n", "WatchdogSec=5min\n",
		} {
			if !strings.Contains(text, want) {
				t.Errorf("the unit of %s lacks %s:\n%s", m, want, text)
			}
		}
		if !configs.IsUnit([]byte(text)) {
			t.Errorf("the unit of %s is not known as one", m)
		}
	}
	if system := unit(t, ours, configs.Systemd); !strings.Contains(system, "\nUser=marie\n") ||
		!strings.Contains(system, `ReadWritePaths="-/data/100 %% \"MIMIC\" & $HOME\\"`) {
		t.Errorf("the system's unit does not name the user and the mirror:\n%s", system)
	}
	plain := ours
	plain.Config = ""
	for _, m := range []configs.Manager{configs.Systemd, configs.SystemdUser, configs.Launchd} {
		if text := unit(t, plain, m); strings.Contains(text, "MIMICSYNC_CONFIG") {
			t.Errorf("the unit of %s names a configuration:\n%s", m, text)
		}
	}
	for _, path := range []string{"/data\nExecStart=/bin/sh", "/data\x00"} {
		if _, err := (configs.Service{Binary: "/b", Mirror: path}).Unit(configs.Systemd); err == nil {
			t.Errorf("Unit with the mirror %q = nil, want an error", path)
		}
	}
}

func TestThePlistIsWellFormed(t *testing.T) {
	text := unit(t, ours, configs.Launchd)
	var strs []string
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if s, ok := token.(xml.CharData); ok {
			strs = append(strs, string(s))
		}
	}
	all := strings.Join(strs, "\n")
	for _, want := range []string{ours.Binary, ours.Mirror, ours.Config, ours.User, ours.Log} {
		if !strings.Contains(all, want) {
			t.Errorf("the plist lacks %s:\n%s", want, text)
		}
	}
	if !configs.IsUnit([]byte(text)) {
		t.Error("the plist is not known as ours")
	}
}

// TestSystemdAcceptsTheUnits asks systemd itself.
func TestSystemdAcceptsTheUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd is not installed")
	}
	for _, m := range []configs.Manager{configs.Systemd, configs.SystemdUser} {
		path := filepath.Join(t.TempDir(), "mimicsync.service")
		if err := os.WriteFile(path, []byte(unit(t, ours, m)), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", path)
		cmd.Env = append(os.Environ(), "SYSTEMD_LOG_LEVEL=warning")
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("systemd-analyze verify of %s: %v\n%s", m, err, out)
		}
	}
	out, err := exec.CommandContext(t.Context(), analyze, "security", "--offline=true", "--no-pager", "systemd/mimicsync.service").CombinedOutput()
	found := regexp.MustCompile(`Overall exposure level for mimicsync.service: (\d+\.\d+)`).FindSubmatch(out)
	if err != nil || found == nil {
		t.Fatalf("systemd-analyze security: %v\n%s", err, out)
	}
	if level, err := strconv.ParseFloat(string(found[1]), 64); err != nil || level > 2 {
		t.Errorf("exposure level %s, want at most 2.0:\n%s", found[1], out)
	}
}
