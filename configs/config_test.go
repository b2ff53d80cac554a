package configs_test

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
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

		Datasets: []configs.Dataset{},
		Schedule: configs.DefaultSchedule, Jitter: duration(configs.DefaultJitter), Windows: []string{},
		Scrub:  configs.Scrub{Rate: configs.DefaultScrubRate, MaxAge: duration(configs.DefaultScrubMaxAge)},
		Listen: []string{configs.DefaultListen}, Hosts: []string{}, Webhooks: []configs.Webhook{},
		Hooks: configs.Hooks{Timeout: configs.Duration(configs.DefaultHooksTimeout)},
		Log:   configs.Log{Level: "info"},
	}
	if diff := cmp.Diff(want, c); diff != "" {
		t.Errorf("example.yaml (-want +got):\n%s", diff)
	}
	if b, _ := os.ReadFile("example.yaml"); string(b) != string(configs.Example) {
		t.Error("Example is not example.yaml")
	}
}

func duration(d time.Duration) *configs.Duration { return (*configs.Duration)(&d) }

// The fields that are comments are right too, and every field is there.
func TestTheExampleDocumentsEveryField(t *testing.T) {
	lines := strings.Split(string(configs.Example), "\n")
	field := regexp.MustCompile(`^( *)# (( *)(- )?(\w+|"\*"|[a-z]+@[0-9.]+):( .*)?|  - \S+)$`)
	for i, line := range lines {
		if m := field.FindStringSubmatch(line); m != nil {
			lines[i] = m[1] + m[2]
		}
	}
	text := strings.NewReplacer("\ndatasets: []\n", "\n", "\nwebhooks: []\n", "\n").Replace(strings.Join(lines, "\n"))
	c, err := configs.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if c.State == "" || len(c.Datasets) != 3 || len(c.Webhooks) != 2 || c.Mail.SMTP == "" || len(c.S3.Locations) != 2 {
		t.Errorf("the comments are not read: %+v", c)
	}
	var check func(v reflect.Value, path string)
	check = func(v reflect.Value, path string) {
		for i := range v.NumField() {
			key := v.Type().Field(i).Tag.Get("yaml")
			f := v.Field(i)
			switch {
			case f.Kind() == reflect.Struct && key != "":
				check(f, path+"."+key)
			case f.IsZero() && key != "url": // of a webhook: a secret has no place in a file
				if !regexp.MustCompile(`(?m)^[ #-]*` + regexp.QuoteMeta(key) + `:`).MatchString(text) {
					t.Errorf("%s.%s is not in example.yaml", path, key)
				}
			}
		}
	}
	check(reflect.ValueOf(c), "")
	check(reflect.ValueOf(c.Datasets[2]), "datasets")
	check(reflect.ValueOf(c.S3.Locations[configs.AllOthers]), "s3.locations")
}

func TestABadFileSaysEverythingThatIsWrong(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
	}{
		{"empty file", "", nil},
		{"nothing but comments", "# mirror: /x\n", nil},
		{"nothing in it", "---\n", nil},
		{"a word", "mirror\n", []string{"line 1: mirror is not a group of fields"}},
		{"unknown keys with their lines", "miror: /x\nconections: 3\nphysionet: {ur: x}\nfoo: 1\n", []string{
			`line 1: unknown key "miror": did you mean mirror?`, `line 2: unknown key "conections": did you mean connections?`,
			`line 3: unknown key "ur": did you mean url?`, "line 4: unknown key \"foo\"\n",
		}},
		{"values of another kind", "connections: many\nsources: physionet\ngcs: 3\ns3: {anonymous: perhaps}\n" + "mirror: [a]\n", []string{
			"line 1: connections: many is not a whole number", "line 2: sources: physionet is not a list", "line 3: gcs: 3 is not a group of fields",
			`line 4: unknown key "anonymous"`, "line 5: mirror: this value is not text",
		}},
		{"two fields in a line", "gcs: {connections: many, price_per_gb: 1}\n", []string{"line 1: many is not a whole number"}},
		{"paths that only a shell reads", "mirror: ~/physionet\nhooks: {on_failure: [$HOME/tell-us]}\n", []string{
			`line 1: mirror: "~/physionet": ~ and variables aren't expanded here`, `line 2: hooks.on_failure: "$HOME/tell-us"`,
		}},
		{"a list", "- a\n", []string{"line 1: this value is not a group of fields"}},
		{"a key twice", "mirror: a\nmirror: b\n", []string{"line 2", "already defined at line 1"}},
		{"unquoted globs", "mirror: a\ninclude: [hosp/, *.csv]\n", []string{"line 2", "needs quotes", "*.csv"}},
		{"an unquoted glob in a list", "include:\n  - hosp/\n  - **/a.csv\n", []string{"line 3", "needs quotes"}},
		{"an unquoted word of cron", "schedule: @daily\n", []string{"line 1", "needs quotes"}},
		{"an unquoted cron expression", "schedule: * 3 * * *\n", []string{"line 1", "needs quotes"}},
		{"no YAML", "mirror: [a\nwindows: b\n", []string{"line 2", "did not find"}},
		{"problems of all kinds, in their order", "jitter: soon\nconnections: 900\nmirrors: 1\n", []string{
			"line 1: jitter: \"soon\" is not a duration like 90s, 8h or 1d\nline 2: connections: 900: it must be from 1 to 256\nline 3: unknown key",
		}},
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
				if !strings.Contains(err.Error()+"\n", w) {
					t.Errorf("Parse = %v, want it to name %q", err, w)
				}
			}
			if err != nil && strings.Contains(err.Error(), "hunter2") {
				t.Errorf("Parse = %v: it tells the password", err)
			}
		})
	}
}

func TestABadDaemonSaysEverythingThatIsWrong(t *testing.T) {
	_, err := configs.Parse([]byte(`timezone: Europe/Berlinn
schedule: "0 3 * *"
datasets:
  - mimiciv@3.1
  - name: mimic-cxr
    schedul: "@daily"
    schedule: "0 0 30 2 *"
    timezone: Mars/Olympus
    sources: [s3, azure]
    include: ["["]
    keep_old_versions: -1
  - MIMIC
  - {name: mimiciv, version: new}
  - mimiciv
windows:
  - 22:00-06:00
  - nights
  - Sat 00:00-24:00
scrub:
  rate: fast
  schedule: never
listen: [8765, "127.0.0.1:http", ":9"]
hosts: ["https://lab.example.org"]
webhooks:
  - events: [failed]
  - url: "http://chat.example.org/hunter2"
  - {url_env: A, url_file: b}
mail:
  smtp: smtp.example.org:many
  from: nobody
  username: u
hooks: {on_failure: []}
log: {format: xml, level: loud}
`))
	if err == nil {
		t.Fatal("it is right")
	}
	want := []string{
		`line 1: timezone: there is no time zone "Europe/Berlinn"; names are like Europe/Berlin, America/New_York or UTC`,
		`line 2: schedule: "0 3 * *" is not a cron expression like "30 3 * * 1" or @daily: expected exactly 5 fields, found 4: [0 3 * *]`,
		`line 6: unknown key "schedul": did you mean schedule?`,
		`line 7: datasets.schedule: "0 0 30 2 *" is never due: no month has that day`,
		`line 8: datasets.timezone: there is no time zone "Mars/Olympus"; names are like Europe/Berlin, America/New_York or UTC`,
		`line 9: datasets.sources: mimic-cxr: unknown source "azure"; the sources are physionet, gcs, s3`,
		`line 10: datasets.include: mimic-cxr: include pattern "[": `,
		`line 11: datasets.keep_old_versions: mimic-cxr: -1 must not be negative`,
		`line 12: datasets: `,
		`line 13: datasets: `,
		`line 14: datasets: mimiciv is listed twice, first in line 4`,
		`line 17: windows: "nights" is not a time window like "22:00-06:00", "Sat 00:00-24:00" or "Mon-Fri 19:00-07:00"`,
		`line 18: windows: the windows "22:00-06:00" and "Sat 00:00-24:00" overlap`,
		`line 20: scrub.rate: "fast" is not an amount like 512k, 10M, 1.5G or off`,
		`line 21: scrub.schedule: "never" is not a cron expression`,
		`line 22: listen: "127.0.0.1:http" is not an address like 127.0.0.1:8765 or :8765`,
		`line 22: listen: "8765" is not an address like 127.0.0.1:8765 or :8765`,
		`line 23: hosts: "https://lab.example.org" is not a host name; leave out https:// and the port`,
		`line 25: webhooks.events: unknown event "failed"; the events are [complete failure recovery parked no_space rot mirror]`,
		`line 25: webhooks: it needs url_file, url_env or url`,
		`line 26: webhooks.url: webhook http://chat.example.org: it must be https; http works only to this machine`,
		`line 27: webhooks: it needs url_file, url_env or url`,
		`line 28: mail: "smtp.example.org:many" is not a mail server like smtp.example.org or smtp.example.org:587`,
		`line 31: mail.username: it needs a password_file`,
		`line 32: hooks.on_failure: it must begin with a program, like [/usr/local/bin/tell-us, --quiet]`,
		`line 33: log.format: "xml": it must be one of text, json`,
		`line 33: log.level: "loud": it must be one of debug, info, warn, error`,
	}
	got := strings.Split(err.Error(), "\n")
	for i := range max(len(want), len(got)) {
		if i >= len(got) || i >= len(want) || !strings.HasPrefix(got[i], want[i]) {
			t.Fatalf("problem %d differs; all are\n%s", i, err)
		}
	}
}

func TestVersionsNeedNoQuotes(t *testing.T) {
	c, err := configs.Parse([]byte("datasets:\n  - {name: mimiciv, version: 3.10}\n  - {name: demo, version: latest}\n  - {name: other@1.0.0}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, d := range c.Datasets {
		ref, err := d.Ref()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, ref.String())
	}
	if want := []string{"mimiciv@3.10", "demo", "other@1.0.0"}; !slices.Equal(got, want) {
		t.Errorf("datasets %q, want %q", got, want)
	}
}

func TestADatasetInheritsItsSchedule(t *testing.T) {
	c, err := configs.Parse([]byte(`
schedule: "0 3 * * *"
timezone: America/New_York
jitter: 0s
datasets:
  - demo
  - {name: own, schedule: "0 4 * * *", timezone: Europe/Berlin}
  - {name: late, jitter: 10h}
  - {name: asked, schedule: off}
`))
	if err != nil {
		t.Fatal(err)
	}
	noon := time.Date(2026, 1, 5, 12, 0, 0, 0, time.UTC)
	three, four := noon.Add(20*time.Hour), noon.Add(15*time.Hour)
	for i, want := range []time.Time{three, four, three} {
		s, err := c.ScheduleOf(c.Datasets[i], "key")
		if err != nil {
			t.Fatal(err)
		}
		slack := time.Second
		if c.Datasets[i].Name == "late" {
			slack = 10 * time.Hour
		}
		if got := s.Next(noon); got.Before(want) || !got.Before(want.Add(slack)) {
			t.Errorf("%s is due at %s, want %s", c.Datasets[i].Name, got, want)
		}
	}
	if s, err := c.ScheduleOf(c.Datasets[3], "key"); s != nil || err != nil {
		t.Errorf("schedule off = %v, %v", s, err)
	}
	s, err := configs.Config{}.ScheduleOf(configs.Dataset{Name: "demo"}, "key")
	if err != nil || s.String() != configs.DefaultSchedule {
		t.Errorf("no schedule = %v, %v", s, err)
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

// A file that is none is told in short, and soon.
func TestAFileThatIsNoConfiguration(t *testing.T) {
	var junk strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&junk, "%s%d: 1\n", strings.Repeat("key", 100), i)
	}
	_, err := configs.Parse([]byte(junk.String()))
	if err == nil || len(err.Error()) > 20_000 || !strings.Contains(err.Error(), "line 50: unknown key") || !strings.Contains(err.Error(), "and 1950 more") {
		t.Errorf("Parse(2,000 unknown keys) = %.300v", err)
	}
	path := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(path, []byte(strings.Repeat("# not much\n", 100_000)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := configs.Load(path); err == nil || !strings.Contains(err.Error(), "longer than 1048576 bytes") {
		t.Errorf("Load(1.1 MB) = %v, want an error", err)
	}
}
