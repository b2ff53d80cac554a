package configs_test

import (
	"encoding/json"
	"strings"
	"testing"

	"mimicsync/configs"
)

func TestInForceKnowsWhereValuesAreFrom(t *testing.T) {
	file := `# A comment stays out, an alias is what it stands for.
connections: 3
windows: &nights
  - 22:00-06:00
include: *nights
bwlimit:
s3: {connections: 5, locations: {mimiciv@3.1: {url: "s3://lab/{dataset}/"}}}
webhooks:
  - {url_file: /etc/hook}
  - {url: "https://chat.example.org/hunter2", events: [rot]}
mail: {smtp: smtp.example.org, from: a@example.org, to: [b@example.org]}
hooks: {on_complete: [/usr/bin/tell], on_failure: [/usr/bin/curl, -H, "Authorization: Bearer hunter2", --token=hunter2]}
`
	if _, err := configs.Parse([]byte(file)); err != nil {
		t.Fatal(err)
	}
	force, err := configs.NewInForce([]byte(file), "lab.yaml", []configs.Override{
		{Path: "mirror", Value: "/env", From: "VARIABLE"},
		{Path: "mirror", Value: "/flag", From: "--mirror"},
		{Path: "gcs.billing_project", Value: "p", From: "--billing-project"},
		{Path: "exclude", Value: []string{"*.dcm", "b"}, From: "--exclude"},
	})
	if err != nil {
		t.Fatal(err)
	}
	text, err := force.YAML()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := configs.Parse(text); err != nil {
		t.Errorf("what is in force is not right: %v\n%s", err, text)
	}
	for _, want := range []string{
		"mirror: /flag # --mirror", "billing_project: p # --billing-project", "exclude: ['*.dcm', b] # --exclude",
		"include: ['22:00-06:00'] # lab.yaml, line 5", `bwlimit: "off" # default`, `      url: "s3://lab/{dataset}/" # lab.yaml, line 7`,
		"physionet:\n  url: https://physionet.org # default\n  connections: 3 # lab.yaml, line 2\n",
		"# lab.yaml, line 8\nwebhooks:\n", "https://chat.example.org/REDACTED",
		"  on_complete: [/usr/bin/tell] # lab.yaml, line 12\n", "  on_failure: [/usr/bin/curl, REDACTED] # lab.yaml, line 12\n", "  smtp: smtp.example.org # lab.yaml, line 11\n",
	} {
		if !strings.Contains("\n"+string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Contains(string(text), "hunter2") {
		t.Errorf("it tells the secret:\n%s", text)
	}

	var got struct {
		Settings struct {
			Connections int
			FileMode    string `json:"file_mode"`
			GCS         struct{ Anonymous bool }
			Windows     []string
		}
		From map[string]string
	}
	b, err := json.Marshal(force)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	s := got.Settings
	if s.Connections != 3 || s.FileMode != "0600" || s.GCS.Anonymous || len(s.Windows) != 1 ||
		got.From["s3.connections"] != "lab.yaml, line 7" || got.From["scrub.rate"] != "default" || got.From["windows"] != "lab.yaml, line 3" {
		t.Errorf("as JSON: %s", b)
	}
}
