package metrics_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"mimicsync/daemon"
)

// exposed are the names of all series that Prometheus has of a daemon.
func exposed(t *testing.T, status func() daemon.Status) map[string]bool {
	t.Helper()
	names := map[string]bool{"up": true} // made by Prometheus itself
	for _, m := range regexp.MustCompile(`(?m)^([a-z_]+)(?:\{| )`).FindAllStringSubmatch(scrape(t, status), -1) {
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

var rulesFile = filepath.Join("..", "..", "configs", "prometheus-alerts.yaml")

// promtool runs that program of Prometheus's.
func promtool(t *testing.T, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Log("promtool is not installed (Debian: apt-get install prometheus): its check is left out")
		return
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

func TestAlertRules(t *testing.T) {
	text, err := os.ReadFile(rulesFile)
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
	names, alerts := exposed(t, busy), 0
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
	promtool(t, "check", "rules", rulesFile)
}

// What the rules make of hours with scrapes that all say the same.
func TestAlerts(t *testing.T) {
	full, failing := busy(), busy()
	full.Free = 5e9
	failing.Datasets = failing.Datasets[:1]
	failing.Datasets[0].Last = nil
	fits, tight := failing, failing
	fits.Datasets, tight.Datasets = slices.Clone(failing.Datasets), slices.Clone(failing.Datasets)
	fetching := daemon.PassStatus{Kind: daemon.RefreshPass, Expected: 1e12, Fetched: 1e11}
	fits.Datasets[0].Pass, tight.Datasets[0].Pass = &fetching, &fetching
	fits.Free, tight.Free = 2e12, 8e11
	for name, test := range map[string]struct {
		status daemon.Status
		hours  int
		want   []string
	}{
		"a mirror that is away":           {away(), 2, []string{"MimicsyncMirrorAway"}},
		"a disk with little room":         {full, 2, []string{"MimicsyncDiskNearlyFull", "MimicsyncParked", "MimicsyncWrongDigests"}},
		"a pass that fills a big disk":    {fits, 2, nil},
		"a pass that will not fit":        {tight, 2, []string{"MimicsyncDiskNearlyFull"}},
		"a pass that waits for hours":     {held(), 7, []string{"MimicsyncWaiting"}},
		"a pass that waits for two":       {held(), 2, nil},
		"a dataset that is being fetched": {failing, 2, nil},
	} {
		t.Run(name, func(t *testing.T) {
			alerts(t, scrape(t, func() daemon.Status { return test.status }), test.hours, test.want)
		})
	}
}

// alerts fails the test unless just these fire.
func alerts(t *testing.T, scrape string, hours int, want []string) {
	type series struct {
		Series string `yaml:"series"`
		Values string `yaml:"values"`
	}
	type sample struct {
		Labels string  `yaml:"labels"`
		Value  float64 `yaml:"value"`
	}
	type query struct {
		Expr    string   `yaml:"expr"`
		At      string   `yaml:"eval_time"`
		Samples []sample `yaml:"exp_samples"`
	}
	var input []series
	for _, m := range regexp.MustCompile(`(?m)^(mimicsync_\S+) (\S+)$`).FindAllStringSubmatch(scrape, -1) {
		input = append(input, series{m[1], fmt.Sprintf("%sx%d", m[2], 60*hours)})
	}
	firing := query{Expr: `count by (alertname) (ALERTS{alertstate="firing"})`, At: fmt.Sprintf("%dh", hours)}
	for _, name := range want {
		firing.Samples = append(firing.Samples, sample{fmt.Sprintf("{alertname=%q}", name), 1})
	}
	rules, err := filepath.Abs(rulesFile)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.Marshal(map[string]any{
		"rule_files": []string{rules}, "evaluation_interval": "1m",
		"tests": []any{map[string]any{"interval": "1m", "input_series": input, "promql_expr_test": []query{firing}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "test.yaml")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, "test", "rules", path)
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
	names, seen := exposed(t, busy), map[int]bool{}
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
