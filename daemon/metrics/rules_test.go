package metrics_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"go.yaml.in/yaml/v4"
)

// exposed are the names of all series that Prometheus has of a daemon.
func exposed(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{"up": true} // made by Prometheus itself
	for _, m := range regexp.MustCompile(`(?m)^([a-z_]+)(?:\{| )`).FindAllStringSubmatch(scrape(t), -1) {
		names[m[1]] = true
	}
	return names
}

var (
	metricName = regexp.MustCompile(`\b(?:mimicsync|process|go)_[a-z_]+\b|\bup\b`)
	quoted     = regexp.MustCompile(`"[^"]*"`)
)

// mustExist reports metrics of a query that no daemon has, and queries without any.
func mustExist(t *testing.T, names map[string]bool, where, query string) {
	t.Helper()
	used := metricName.FindAllString(quoted.ReplaceAllString(query, `""`), -1)
	if len(used) == 0 {
		t.Errorf("%s: no metric in %q", where, query)
	}
	for _, name := range used {
		if !names[name] {
			t.Errorf("%s names %s, which the daemon does not have", where, name)
		}
	}
}

func TestAlertRules(t *testing.T) {
	path := filepath.Join("..", "..", "configs", "prometheus-alerts.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Rules []struct {
				Alert, Expr string
				Annotations map[string]string
			}
		}
	}
	if err := yaml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	names, alerts := exposed(t), 0
	for _, g := range file.Groups {
		for _, r := range g.Rules {
			alerts++
			mustExist(t, names, "the alert "+r.Alert, r.Expr)
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("the alert %s does not say what happened and what to do", r.Alert)
			}
		}
	}
	if alerts == 0 {
		t.Error("there are no alerts")
	}
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("promtool is not installed (Debian: apt-get install prometheus): its check is left out")
		return
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", path).CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}

func TestGrafanaDashboard(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "configs", "grafana-dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	names, seen := exposed(t), map[int]bool{}
	for _, p := range board.Panels {
		if seen[p.ID] {
			t.Errorf("two panels have the id %d", p.ID)
		}
		seen[p.ID] = true
		for _, target := range p.Targets {
			mustExist(t, names, "the panel "+p.Title, target.Expr)
		}
	}
	if len(seen) == 0 {
		t.Error("there are no panels")
	}
}
