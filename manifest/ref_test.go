package manifest

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseRef(t *testing.T) {
	for s, want := range map[string]Ref{
		"mimic-iv-demo":        {"mimic-iv-demo", ""},
		"mimic-iv-demo@2.2":    {"mimic-iv-demo", "2.2"},
		"mimic-iv-demo@latest": {"mimic-iv-demo", ""},
		" mimiciv@3.1\n":       {"mimiciv", "3.1"},
		"x":                    {"x", ""},
		"https://physionet.org/content/mimiciv/3.1/":                            {"mimiciv", "3.1"},
		"https://physionet.org/content/mimiciv/3.1/#files":                      {"mimiciv", "3.1"},
		"https://physionet.org/content/mimiciv/":                                {"mimiciv", ""},
		"https://physionet.org/content/mimiciv/get-zip/3.1/":                    {"mimiciv", "3.1"},
		"http://www.physionet.org/files/mimic-cxr/2.1.0":                        {"mimic-cxr", "2.1.0"},
		"physionet.org/files/mimic-iv-demo/2.2/":                                {"mimic-iv-demo", "2.2"},
		"https://physionet.org/sign-dua/mimiciii/1.4/":                          {"mimiciii", "1.4"},
		"https://physionet.org/static/published-projects/mimic4wdb/0.1.0/":      {"mimic4wdb", "0.1.0"},
		"https://someone@physionet.org/files/mimiciv/3.1/?download=1&x=a@b/c/d": {"mimiciv", "3.1"},
	} {
		got, err := ParseRef(s)
		if err != nil || got != want {
			t.Errorf("ParseRef(%q) = %v, %v, want %v", s, got, err, want)
		}
		if again, err := ParseRef(got.String()); err != nil || again != got {
			t.Errorf("ParseRef(%q) = %v, %v, want %v", got.String(), again, err, got)
		}
	}
}

func TestParseRefRefuses(t *testing.T) {
	for s, hint := range map[string]string{
		"":                                 "lower-case",
		"MIMIC-IV":                         "lower-case",
		"mimic_iv":                         "lower-case",
		"-mimic":                           "lower-case",
		"mimic-":                           "lower-case",
		"..":                               "lower-case",
		strings.Repeat("a", 31):            "30",
		"mimiciv@":                         "2.2",
		"mimiciv@3":                        "2.2",
		"mimiciv@3.1@2":                    "2.2",
		"mimiciv@03.1":                     "2.2",
		"mimiciv@../x":                     "want a name",
		"mimiciv/3.1":                      "mimic-iv-demo@2.2",
		"https://example.org/files/a/1.0/": "physionet.org",
		"https://evilphysionet.org/files/mimiciv/3.1/":          "not an address at",
		"gs://mimiciv-3.1.physionet.org/":                       "want a name",
		"https://physionet.org/":                                "not the address of a dataset",
		"https://physionet.org/content/":                        "not the address of a dataset",
		"https://physionet.org/static/a/1.0/":                   "not the address of a dataset",
		"https://physionet.org/files/mimiciv/3.1/hosp/x.csv.gz": "name the dataset, mimiciv@3.1",
		"https://physionet.org/content/mimiciv/3.1/hosp/":       "name the dataset, mimiciv@3.1",
	} {
		got, err := ParseRef(s)
		if !errors.Is(err, ErrBadRef) || !strings.Contains(err.Error(), hint) {
			t.Errorf("ParseRef(%q) = %v, %v, want %v about %q", s, got, err, ErrBadRef, hint)
		}
	}
}

func TestParseRefKeepsPasswordsOutOfErrors(t *testing.T) {
	for _, s := range []string{"https://me:secret@example.org/files/a/1.0/", "https://me:secret%zz@physionet.org/"} {
		if _, err := ParseRef(s); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("ParseRef(%q) = %v, want an error without the password", s, err)
		}
	}
}

func TestValidVersion(t *testing.T) {
	for s, want := range map[string]bool{
		"1.0": true, "2.1.0": true, "0.1": true, "1.10.0": true, "10.0": true, "": false, "1": false, "1.": false,
		".1": false, "1..0": false, "01.0": false, "1.00": false, "1.0a": false, "v1.0": false, "1.0/..": false,
		strings.Repeat("1.", 20) + "0": false,
	} {
		if got := ValidVersion(s); got != want {
			t.Errorf("ValidVersion(%q) = %v, want %v", s, got, want)
		}
	}
}

func TestCompareVersions(t *testing.T) {
	// From old to new; each compares with every other by its place.
	sorted := []string{"", "0.1", "0.4", "1.0", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "2.0", "2.2", "10.0", "99999999999999999999.0"}
	for i, a := range sorted {
		for j, b := range sorted {
			want := 0
			switch {
			case i < j:
				want = -1
			case i > j:
				want = 1
			}
			if got := CompareVersions(a, b); got != want {
				t.Errorf("CompareVersions(%q, %q) = %d, want %d", a, b, got, want)
			}
		}
	}
	got := []string{"1.0.0", "1.10.0", "1.2.0"}
	slices.SortFunc(got, CompareVersions)
	if got[2] != "1.10.0" {
		t.Errorf("newest of %v = %q, want 1.10.0", got, got[2])
	}
}
