package configs_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"mimicsync/configs"
)

func TestTheExampleIsTheDefaults(t *testing.T) {
	c, err := configs.Load("example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	want := configs.Config{
		Mirror: "physionet.org/files", IdleTimeout: configs.Duration(time.Minute), FileMode: 0o600, DirMode: 0o700,
		BWLimit: "off", Durability: "group",
		Sources:   []string{"physionet"},
		PhysioNet: configs.PhysioNet{URL: "https://physionet.org", Connections: 8},
		GCS:       configs.GCS{Connections: 64, Price: configs.DefaultGCSPrice},
		S3:        configs.S3{Connections: 64, Price: configs.DefaultS3Price},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("example.yaml (-want +got):\n%s", diff)
	}
	if b, _ := os.ReadFile("example.yaml"); string(b) != string(configs.Example) {
		t.Error("Example is not example.yaml")
	}
}

func TestABadFileSaysEverythingThatIsWrong(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"empty file", "", nil},
		{"unknown keys with their lines", "miror: /x\nconections: 3\n", []string{"miror", "conections", "line 1", "line 2"}},
		{"several bad values", "connections: 900\nfile_mode: 0040\nidle_timeout: 1ms\n", []string{"connections", "file_mode", "idle_timeout"}},
		{"a word for a time", "idle_timeout: soon\n", []string{"soon", "line 1"}},
		{"bad limits", "bwlimit: 10M:1M\nmax_transfer: lots\nmax_duration: -1h\ndurability: some\n", []string{
			`bwlimit: "10M:1M"`, `max_transfer: "lots"`, `max_duration: "-1h"`, `durability: "some"`,
		}},
		{"good limits", "bwlimit: 08:00,2M 19:00,off\nmax_transfer: 512\nmax_duration: 1d12h\ndurability: none\n", nil},
		{"bad money", "max_cost: 5 EUR\ngcs: {price_per_gb: -1}\ns3: {price_per_10000_requests: 0.0000001}\n", []string{
			`max_cost: "5 EUR"`, `gcs.price_per_gb: "-1"`, `s3.price_per_10000_requests: "0.0000001"`,
		}},
		{"good money", "max_cost: 20.50\ngcs: {price_per_gb: 0, price_per_10000_requests: $0.004}\n", nil},
		{"a second document", "mirror: a\n---\nmirror: b\n", []string{"more than one"}},
		{"a bad glob", "include: ['[']\n", []string{"["}},
		{"sources", "sources: [s3, gcs, physionet]\ngcs: {buckets: {mimiciv: b, mimic-cxr@2.0.0: c}}\n" +
			"s3: {locations: {mimiciv@3.1: {url: 's3://a/b'}, '*': {url: 's3://lab/{dataset}/', anonymous: true}}}\n", nil},
		{"bad sources", "sources: [s3, azure]\ngcs: {endpoint: nowhere, buckets: {MIMIC: gs://x/y}}\ns3: {connections: 1000, locations: {demo@: {url: a}}}\n", []string{
			`"azure"`, "gcs.endpoint", "gcs.buckets", `"gs://x/y"`, "s3.connections", "s3.locations",
		}},
		{"a source twice", "sources: [s3, gcs, s3]\n", []string{"s3 is named twice"}},
		{"secrets of stores", "s3: {endpoint: 'https://u:hunter2@minio', locations: {demo: {url: 's3://hunter2@x'}}}\n", []string{"s3.endpoint", "s3.locations"}},
		{"a password in the address", "physionet: {url: 'https://u:hunter2@physionet.org'}\n", []string{"physionet.url"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := configs.Parse([]byte(test.text))
			if (err != nil) != (len(test.want) > 0) {
				t.Fatalf("Parse = %v", err)
			}
			for _, w := range test.want {
				if !strings.Contains(err.Error(), w) {
					t.Errorf("Parse = %v, want it to name %q", err, w)
				}
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Parse = %v: it tells the password", err)
			}
		})
	}
}

func TestParseDurationKnowsDays(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90s": 90 * time.Second, "8h": 8 * time.Hour, "1d": 24 * time.Hour, "2d12h30m": 60*time.Hour + 30*time.Minute, "0": 0,
	} {
		if got, err := configs.ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "8", "-1d", "1d-2h", "1d1d", "1.5d", "99999d", "soon"} {
		if got, err := configs.ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
}
